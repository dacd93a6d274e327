// SPDX-License-Identifier: Apache-2.0
/** Builds the page of `layout.tsx`: one script and one style sheet that need no server. */

import { defineConfig } from "vite";

export default defineConfig({
  publicDir: "tests/layout/public",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    minify: false,
    outDir: "test-results/layout",
    lib: {
      entry: "tests/layout/layout.tsx",
      formats: ["iife"],
      name: "layout",
      fileName: () => "layout.js",
      cssFileName: "layout",
    },
  },
});
