// The order of the table of variables.

import { IVariable } from './protocol';

export type Key = 'name' | 'type_name' | 'shape' | 'bytes' | 'preview';

/** Null keeps the order in which the variables were made. */
export type Order = { key: Key; descending: boolean } | null;

/** What a click on a header makes of the order: up, down, as made. */
export function clicked(order: Order, key: Key): Order {
  if (order?.key !== key) {
    return { key, descending: false };
  }
  return order.descending ? null : { key, descending: true };
}

/** The variables in this order; those without a value of the key come last. */
export function sorted(variables: IVariable[], order: Order): IVariable[] {
  if (order === null) {
    return variables;
  }
  const { key, descending } = order;
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  return [...variables].sort((a, b) => {
    const [x, y] = [a[key], b[key]];
    if (x === null || y === null) {
      return Number(x === null) - Number(y === null);
    }
    const ascending =
      typeof x === 'number' && typeof y === 'number' ? x - y : compare(String(x), String(y));
    return descending ? -ascending : ascending;
  });
}
