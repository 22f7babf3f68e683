"""Everything that touches ffmpeg and video files; knows no model."""
