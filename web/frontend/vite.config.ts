// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

// The page's shell is a Jinja template of the Python package (web/templates); it finds the hashed files by the manifest.
export default defineConfig({
  base: "./",
  publicDir: false,
  worker: { format: "es" },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "../static",
    emptyOutDir: true,
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    rolldownOptions: { input: "src/main.tsx" },
  },
  test: { include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"] },
});
