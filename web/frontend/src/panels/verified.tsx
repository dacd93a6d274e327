// SPDX-License-Identifier: Apache-2.0
/** The log, compared with what each gateway sends by somebody else: the verifiers. A section of the proof. */

import type { Store } from "../app/store";
import { age, count } from "../city/format";
import { checkedNow, silent } from "../city/verdicts";

export function VerifierSection({ store }: { store: Store }) {
  const { value: verdicts } = store.verdicts;
  const checked = checkedNow(verdicts, store.now.value);
  const gone = silent(verdicts, store.now.value);
  const cutMs = store.held.value?.cutMs ?? 0;
  return (
    <div class="sect verifiers">
      <h3 class="title">Compared with the log</h3>
      {checked.length === 0 && (
        <p class="label">
          {gone.length > 0
            ? `${gone.join(", ")} says nothing any more`
            : "No verifier runs: nothing compares the gateways with the log now"}
        </p>
      )}
      <ul class="plain">
        {checked.map(({ gateway, verifier, cut_ms, checked: all, wrong, rule, text }) => (
          <li key={`${verifier} ${gateway}`} class="row spread">
            <span>
              {gateway}{" "}
              <span class={rule === "" ? "ok" : "bad"}>{rule === "" ? "equals the log" : rule}</span>
            </span>
            <span class="label" title={text}>
              {wrong > 0 && <b class="bad">{count(wrong)} wrong of </b>}
              {count(all)} · {age(Math.max(0, cutMs - cut_ms))} ago
            </span>
          </li>
        ))}
      </ul>
      {checked.length > 0 && (
        <p class="note below">
          Checked by {[...new Set(checked.map(({ verifier }) => verifier))].join(", ")}: a program of its own
          that reads the log by itself, with code of its own, and is an ordinary client of every gateway.
        </p>
      )}
    </div>
  );
}
