# The service `ferlab serve`, without Keras. Build it in this folder: docker build --tag ferlab .
#
#   docker run --publish 127.0.0.1:8000:8000 ferlab
#   docker run --publish 8000:8000 --env FERLAB_TOKEN ferlab --token-env FERLAB_TOKEN
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 ferlab
COPY pyproject.toml constraints.txt README.md LICENSE /build/
COPY src /build/src
RUN pip install --no-cache-dir --constraint /build/constraints.txt '/build[serve]' && rm -r /build

USER ferlab
WORKDIR /home/ferlab
# Store the face detector in the image, so that a container needs no network.
RUN python -c "from ferlab.images.yunet import yunet_file; yunet_file()"

EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["ferlab", "serve", "--host", "0.0.0.0"]
