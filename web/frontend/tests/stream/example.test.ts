// SPDX-License-Identifier: Apache-2.0
/** The example of docs/client-typescript.md: it is the file, it compiles with the rest, and it runs. */

import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { board } from "../../examples/board";
import { FakeSocket } from "./world";

const ROOT = new URL("../../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");

describe("the example", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is in the docs word for word", () => {
    const shown = /```ts\n(.*?)```/s.exec(read("docs/client-typescript.md"))?.[1];
    const file = read("web/frontend/examples/board.ts");
    expect(shown).toBe(file.slice(file.indexOf("\n") + 1));
  });

  it("shows a part of the city as the gateway tells it, and what becomes of the client", () => {
    const sockets: FakeSocket[] = [];
    vi.stubGlobal(
      "WebSocket",
      class extends FakeSocket {
        constructor(
          readonly url: string,
          readonly protocol: string,
        ) {
          super();
          sockets.push(this);
        }
      },
    );
    const lines: string[] = [];
    const part = [-74.0151, 40.7011, -74.0051, 40.7811] as const;
    const leave = board("ws://127.0.0.1:1/ws", part, (line) => lines.push(line));
    const socket = sockets[0]!;
    expect(socket).toMatchObject({ url: "ws://127.0.0.1:1/ws", protocol: "taxi.v1" });
    for (const step of JSON.parse(read("tests/golden/scripts/view-from-the-start.json")).steps.slice(1, 7)) {
      if ("open" in step) socket.onopen();
      else if ("say" in step) socket.says(step.message);
      else if ("cut" in step) socket.says(Uint8Array.from(Buffer.from(step.hex, "hex")).buffer);
    }
    expect(lines.at(-1)).toMatch(/^\d\d:\d\d:\d\d {2}1 of 2 taxis here are free, 2 rides in the city$/);
    leave();
    expect(lines.at(-1)).toBe("the client is stopped");
    expect(socket.deeds.at(-1)).toBe("closes");
  });
});
