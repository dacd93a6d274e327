// SPDX-License-Identifier: Apache-2.0
/** Web Mercator: the world is the square 0 … 1. */

const EARTH_M = 40_075_016.686;

export function mercatorX(lng: number): number {
  return (lng + 180) / 360;
}

export function mercatorY(lat: number): number {
  return (180 - (180 / Math.PI) * Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360))) / 360;
}

export function lngOf(x: number): number {
  return x * 360 - 180;
}

export function latOf(y: number): number {
  return (360 / Math.PI) * Math.atan(Math.exp(((180 - y * 360) * Math.PI) / 180)) - 90;
}

/** Metres that the whole width of the world measures at a latitude. */
export function metresPerWorld(lat: number): number {
  return EARTH_M * Math.cos((lat * Math.PI) / 180);
}
