// SPDX-License-Identifier: Apache-2.0
import { type Box, connect, isServing } from "../src/stream";

const IDLE = 1;

/** One line that says how many taxis are free in a part of the city; call the answer to end it. */
export function board(url: string, part: Box, show: (line: string) => void): () => void {
  const city = connect(url, {
    city: "manhattan",
    view: part,
    listener: {
      cut(cut, { drivers, counts, rides }) {
        const free = counts[IDLE];
        const time = new Date(cut.cutMs).toISOString().slice(11, 19);
        show(`${time}  ${free} of ${drivers.n} taxis here are free, ${rides.size} rides in the city`);
      },
      differs: () => show("this picture is wrong, another one is on its way"),
      link: ({ state }) => isServing(state) || show(`the line is ${state}`),
    },
  });
  return () => city.leave();
}
