import { defineConfig } from "vitest/config";

export default defineConfig({
  // The relay serves the page from `/`; relative addresses also let it sit behind a prefix.
  base: "./",
  build: { target: "es2022", outDir: "dist", emptyOutDir: true, sourcemap: false, chunkSizeWarningLimit: 700 },
  // Tests hold the page's words against the relay's own sources.
  server: { fs: { allow: [".."] } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"], restoreMocks: true },
});
