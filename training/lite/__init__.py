"""How the bundled vsfa-lite model is made."""
