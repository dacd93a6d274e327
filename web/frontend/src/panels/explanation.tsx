// SPDX-License-Identifier: Apache-2.0
/** Why this taxi: the other candidates, how far each was and at what cost, and in which batch. */

import { type Candidate, type Explanation, market, reasons } from "../city/explanation";
import { count, span, taxi } from "../city/format";

export function ExplanationTable({ why }: { why: Explanation }) {
  const candidates = why.candidates ?? [];
  return (
    <div class="sect why">
      <h3 class="title">Why {taxi(why.driver)}</h3>
      {reasons(why).map((text) => (
        <p key={text} class="label">
          {text}
        </p>
      ))}
      {candidates.length > 1 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Candidate</th>
              <th scope="col">Away</th>
              <th scope="col">Cost</th>
            </tr>
          </thead>
          <tbody>
            {candidates.map((each) => (
              <Row key={each.driver} why={why} {...each} />
            ))}
          </tbody>
        </table>
      )}
      <p class="note below">{market(why)}</p>
    </div>
  );
}

function Row({ why, driver, eta_s, cost }: Candidate & { why: Explanation }) {
  const chosen = driver === why.driver;
  const role = chosen ? "chosen" : driver === why.runner_up ? "runner-up" : "";
  return (
    <tr class={chosen ? "chosen" : ""}>
      <td>
        {taxi(driver)} <small>{role}</small>
      </td>
      <td>{span(eta_s * 1000)}</td>
      <td>{count(cost).replace("-", "−")} s</td>
    </tr>
  );
}
