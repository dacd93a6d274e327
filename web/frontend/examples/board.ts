// SPDX-License-Identifier: Apache-2.0
import { type BBox, connect, isServing } from "../src/stream/index.ts";

const IDLE = 1;

/** Calls `show` with one line about a part of the city, after each update. Returns a function that ends it. */
export function board(url: string, part: BBox, show: (line: string) => void): () => void {
  const city = connect(url, {
    city: "manhattan",
    view: part,
    listener: {
      update(update, { drivers, counts, rides }) {
        const free = counts[IDLE];
        const time = new Date(update.cutMs).toISOString().slice(11, 19);
        show(`${time}  ${free} of ${drivers.n} taxis here are free, ${rides.size} rides in the city`);
      },
      mismatch: () => show("these rows are wrong, an image will replace them"),
      link: ({ state, problem }) => isServing(state) || show(problem?.text ?? `the client is ${state}`),
      health: (faults) => show(faults.map(({ text }) => text).join("; ") || "the gateway is well again"),
    },
  });
  return () => city.stop();
}
