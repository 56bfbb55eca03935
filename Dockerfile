# Both images are Debian 12: what is linked in the first must find the same or a newer C library in the second.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# ---- Dependencies, in a layer of their own that only a change of Cargo.toml or Cargo.lock makes anew.
FROM ${RUST_IMAGE} AS build
# The slim image lacks make, which the memory allocator is built with.
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# The targets that only a developer builds are taken out of the manifest: their files are not in the image's context, and cargo
# insists on every file that the manifest names. Then everything is built around an empty program.
RUN sed -i '/^\[\[\(bench\|example\|test\)\]\]/,/^$/d' Cargo.toml \
    && mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin inventory \
    && rm -r src

# ---- The service itself. Cargo goes by times, and those of the sources may be older than the empty program's.
COPY build.rs ./
COPY migrations migrations
COPY src src
RUN find src -exec touch {} + \
    && cargo build --release --locked --bin inventory

# ---- What runs.
FROM ${RUNTIME_IMAGE}
# Root certificates, for servers that are reached over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/release/inventory /usr/local/bin/inventory
# A number rather than a name, so that an orchestrator can see that it is not root.
USER 10001:10001
# In a container, 127.0.0.1 is reachable from nowhere else.
ENV INVENTORY__HTTP__ADDRESS=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["inventory", "healthcheck"]
ENTRYPOINT ["inventory"]
CMD ["serve"]
