# The silo, and the demo that runs against it, in one small image.

FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
# .dockerignore lets in what is needed, and nothing else.
COPY . .
RUN npm run build && npx tsc -p tsconfig.samples.json
# What is left is what runs: no compiler, no PGlite.
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:20-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/samples/dist samples/dist
USER node
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "samples/dist/silo/check-health.js"]
CMD ["node", "samples/dist/silo/main.js"]
