// Numbers and values as people read them.

import { Value } from './protocol';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in decimal units, three figures at most: `30.1 kB`. */
export function bytes(count: number): string {
  let amount = count;
  let unit = 0;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  const figures = unit === 0 || amount >= 99.95 ? 0 : 1;
  return `${amount.toFixed(figures)} ${UNITS[unit]}`;
}

/** A count with its thousands apart: `10 000 000`. */
export function thousands(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A value in a cell of the grid. */
export function cell(value: Value | undefined): string {
  if (value === undefined) {
    return '…';
  }
  return value === null ? 'null' : String(value);
}
