// SPDX-License-Identifier: Apache-2.0
/** The gateway's HTTP side, as far as the page uses it. Each `post` answers null, or a problem in words. */

import type { RideDetails } from "../city/explanation";
import type { FeatureList } from "../city/gazetteer";
import type { PartNow } from "../city/recovery";
import type { Route } from "../city/route";
import type { ScenarioPlan } from "../city/scenario_plans";
import { at } from "../config";
import type { Place } from "./map_port";
import { attempt } from "./safely";
import { token } from "./token";

/** A gateway that was killed or frozen may have taken the request: soon another one is asked. */
const PARTS_MS = 1_500;

/** The city that requests are about; null: the only one. */
let city: string | null = null;

/** Make all further requests about a city of a gateway that shows several. */
export function askAbout(name: string | null): void {
  city = name;
}

/** The address of a city's API. */
function api(path: string): string {
  return at(city === null ? path : `${path}?city=${encodeURIComponent(city)}`);
}

function headers(): Record<string, string> {
  const known = token();
  return { "Content-Type": "application/json", ...(known && { Authorization: `Bearer ${known}` }) };
}

/** Whether this gateway is a part of a local demo: only then does its status name the parts. */
export async function canKill(): Promise<boolean> {
  try {
    const answer = await fetch(api("api/status"), { headers: headers() });
    return answer.ok && "parts" in ((await answer.json()) as object);
  } catch {
    return false;
  }
}

/** What may be done to a part of a local demo. */
export type PartAction = "kill" | "freeze" | "wake";

/** The scenarios that can be started here; null where none can, or no gateway says so now. */
export async function scenarioPlans(): Promise<readonly ScenarioPlan[] | null> {
  try {
    const answer = await fetch(api("api/scenarios"), { headers: headers() });
    return answer.ok ? ((await answer.json()) as { scenarios: readonly ScenarioPlan[] }).scenarios : null;
  } catch {
    return null;
  }
}

/** Ask to start or stop a scenario; the stream says when it is under way. */
export async function changeScenario(name: string, action: "start" | "stop"): Promise<string | null> {
  return post(`api/scenarios/${encodeURIComponent(name)}/${action}`, {});
}

/** A limit of time, where the browser knows them. */
function soon(): { signal?: AbortSignal } {
  return attempt(() => ({ signal: AbortSignal.timeout(PARTS_MS) }), {});
}

/** The parts of a local demo; null if no gateway says so now. */
export async function demoParts(): Promise<readonly PartNow[] | null> {
  try {
    const answer = await fetch(api("api/parts"), { headers: headers(), ...soon() });
    return answer.ok ? ((await answer.json()) as { parts: readonly PartNow[] }).parts : null;
  } catch {
    return null;
  }
}

/**
 * Do it to a part: the process that it was, or the problem in words. The gateway that answers may be the part itself, so
 * a lost answer is as good as one; then the process is not known (null).
 */
export async function actOnPart(name: string, action: PartAction): Promise<number | null | string> {
  try {
    const path = `api/parts/${encodeURIComponent(name)}/${action}`;
    const answer = await fetch(api(path), { method: "POST", headers: headers(), body: "{}" });
    return answer.ok ? ((await answer.json()) as { pid: number }).pid : await problem(answer);
  } catch {
    return null;
  }
}

export async function requestRide(id: string, pickup: Place, dropoff: Place): Promise<string | null> {
  return post("api/rides", { ride: id, pickup, dropoff });
}

/** What a ride's row leaves out; null if no gateway knows it now. */
export async function rideDetails(id: string): Promise<RideDetails | null> {
  try {
    const answer = await fetch(api(`api/rides/${encodeURIComponent(id)}`), { headers: headers() });
    return answer.ok ? ((await answer.json()) as RideDetails) : null;
  } catch {
    return null;
  }
}

/** What `GET /api/drivers/{id}` answers, as far as this page reads it. Times are log time. */
export interface DriverDetails {
  readonly driver: number;
  readonly on_shift: boolean;
  readonly leaving: boolean;
  /** Null off shift, or if the shift began before the gateway began to read. */
  readonly shift_since_ms: number | null;
  readonly trips: number;
  readonly earned_cents: number;
  readonly distance_m: number;
  /** From when on these are counted. */
  readonly counted_since_ms: number;
}

/** A driver's shift and trips; null if no gateway knows it now. */
export async function driverDetails(driver: number): Promise<DriverDetails | null> {
  try {
    const answer = await fetch(api(`api/drivers/${driver}`), { headers: headers() });
    return answer.ok ? ((await answer.json()) as DriverDetails) : null;
  } catch {
    return null;
  }
}

/** Ask for a ride's cancellation; the row in the stream says whether it came in time. */
export async function cancelRide(id: string): Promise<string | null> {
  try {
    const answer = await fetch(api(`api/rides/${encodeURIComponent(id)}`), {
      method: "DELETE",
      headers: headers(),
    });
    return answer.ok ? null : await problem(answer);
  } catch {
    return "no gateway answered";
  }
}

/** The fastest way along the streets from the nearest of some places; or the problem in words. */
export async function route(starts: readonly string[], end: Place): Promise<Route | string> {
  try {
    const asked = new URLSearchParams([...starts.map((start) => ["from", start]), ["to", end.join(",")]]);
    if (city !== null) asked.append("city", city);
    const answer = await fetch(at(`api/route?${asked}`), { headers: headers() });
    return answer.ok ? ((await answer.json()) as Route) : await problem(answer);
  } catch {
    return "no gateway answered";
  }
}

/** A file of the map's own data; null if it does not come. */
export async function mapData(
  basemap: string,
  name: "places" | "roads" | "blocks",
): Promise<FeatureList | null> {
  try {
    const answer = await fetch(`${basemap}/${name}.geojson`);
    return answer.ok ? ((await answer.json()) as FeatureList) : null;
  } catch {
    return null;
  }
}

async function post(path: string, body: object): Promise<string | null> {
  try {
    const answer = await fetch(api(path), { method: "POST", headers: headers(), body: JSON.stringify(body) });
    return answer.ok ? null : await problem(answer);
  } catch {
    return "no gateway answered";
  }
}

async function problem(answer: Response): Promise<string> {
  try {
    const { title, detail } = (await answer.json()) as { title?: string; detail?: string };
    return detail ?? title ?? `status ${answer.status}`;
  } catch {
    return `status ${answer.status}`;
  }
}
