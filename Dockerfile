# CPU alone. Not built on the development machine, which has no Docker.
#   docker build -t vqa .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" vqa ladder clip.mp4 --preset mobile
FROM python:3.12-slim

# From torch's own index, whose wheels for CPUs are a tenth of the size; both, because one must match the other.
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY . /tmp/vqa
RUN pip install --no-cache-dir /tmp/vqa && rm -rf /tmp/vqa

# Any user may run it: --user gives results the owner that they should have.
RUN useradd --create-home vqa && mkdir /cache /data && chmod 1777 /cache /data
ENV VQA_CACHE_DIR=/cache/vqa VQA_MODEL_DIR=/cache/models HOME=/tmp
VOLUME /cache
USER vqa
WORKDIR /data
# An image in which something is missing is not made.
RUN vqa doctor
HEALTHCHECK CMD vqa doctor
ENTRYPOINT ["vqa"]
