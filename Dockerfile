FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make git && rm -rf /var/lib/apt/lists/*
WORKDIR /onehour
COPY pyproject.toml requirements.lock README.md ./
COPY app app
COPY engine engine
RUN pip install --no-cache-dir --constraint requirements.lock --editable '.[engine]'
# The journal, the runs and their data live in a volume.
# A container's name changes with each start; the folder is the same computer's all the same.
ENV ONEHOUR_HOME=/home/onehour ONEHOUR_HOST=container
VOLUME /home/onehour
EXPOSE 8501
CMD ["onehour", "up", "--host", "0.0.0.0", "--no-browser"]
