// SPDX-License-Identifier: Apache-2.0
/** Why this taxi: the other candidates, how far each was and at what cost, and in which batch. */

import {
  type Explanation,
  market,
  type Numbered,
  numbered,
  type RideStep,
  reasons,
  type SeenCandidate,
} from "../city/explanation";
import { count, span, taxi } from "../city/format";
import { shortRide } from "../city/words";
import { Icon } from "./glyphs";
import type { PanelProps } from "./props";

interface Props extends PanelProps {
  readonly why: Explanation;
  readonly candidates: readonly SeenCandidate[];
  readonly steps: readonly RideStep[];
}

export function ExplanationTable({ store, actions, why, candidates, steps }: Props) {
  const rows = numbered(why, candidates);
  const declined = new Set(steps.flatMap(({ type, driver }) => (type === "OfferDeclined" ? [driver] : [])));
  const onMap = store.candidatesOnMap.value;
  return (
    <div class="sect why">
      <div class="row spread">
        <h3 class="title">Why {taxi(why.driver)}</h3>
        {onMap > 0 && (
          <button type="button" class="btn s quiet" onClick={actions.fitCandidates}>
            <Icon name="whole" />
            Show on the map
          </button>
        )}
      </div>
      {reasons(why).map((text) => (
        <p key={text} class="label">
          {text}
        </p>
      ))}
      {rows.length > 1 && (
        <table onPointerLeave={() => actions.highlight(null)}>
          <thead>
            <tr>
              <th scope="col">Candidate</th>
              <th scope="col">Away</th>
              <th scope="col">Cost</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((each) => (
              <Row
                key={each.driver}
                store={store}
                actions={actions}
                row={each}
                note={note(each, why.ride, declined)}
              />
            ))}
          </tbody>
        </table>
      )}
      <p class="note below">{market(why)}</p>
      {onMap > 0 && (
        <p class="note">On the map: where each was when it was compared, and its fastest way at this hour.</p>
      )}
    </div>
  );
}

function Row({ store, actions, row, note: more }: PanelProps & { row: Numbered; note: string }) {
  const { driver, number, eta_s, cost, role } = row;
  const on = store.highlighted.value === driver;
  const classes = [role === "chosen" ? "chosen" : "", on ? "on" : ""].filter(Boolean).join(" ");
  return (
    <tr class={classes} onPointerEnter={() => actions.highlight(driver)}>
      <td>
        <button
          type="button"
          class="candidate-row"
          title={`Open ${taxi(driver)}`}
          onFocus={() => actions.highlight(driver)}
          onBlur={() => actions.highlight(null)}
          onClick={() => actions.showTaxi(driver)}
        >
          <span class="number">{number}</span>
          <span>
            {taxi(driver)}
            {role === "runner-up" && ", runner-up"}
            {more && <small>{more}</small>}
          </span>
        </button>
      </td>
      <td>{span(eta_s * 1000)}</td>
      <td>{count(cost).replace("-", "−")} s</td>
    </tr>
  );
}

/** What else is known of a candidate. */
function note(
  { role, ride, driver }: Numbered,
  own: string | undefined,
  declined: ReadonlySet<number | null>,
): string {
  if (role === "chosen") return "chosen";
  if (ride !== null && ride !== own) return `got ${shortRide(ride)} in the same batch`;
  return declined.has(driver) ? "declined before" : "";
}
