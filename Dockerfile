# zoo studio in a container, also as a Hugging Face Docker Space (see docs/space.md).
FROM python:3.12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libmypaint-1.5-1 mypaint-brushes \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY --chown=user . .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep ^torch== constraints.txt)" \
 && pip install --no-cache-dir -c constraints.txt '.[video,svg]'
USER user
WORKDIR /home/user
EXPOSE 7860
CMD ["zoo", "studio", "--host", "0.0.0.0", "--no-browser"]
