// What is asked of the kernel over a comm, and its answers: `kernel/protocol/src/panel.rs` has the same
// in Rust, and `messages.json` an example of each that both sides test.

/** The comm's target. */
export const TARGET = 'oxilab.panel';

/** A variable of the session. */
export interface IVariable {
  name: string;
  type_name: string;
  /** `1000 × 4`, `len 3`; null where a type has none. */
  shape: string | null;
  bytes: number;
  /** One line of the value. */
  preview: string;
  /** Whether pages of it can be asked for. */
  pages: boolean;
}

/** One value of a frame. */
export type Value = string | number | boolean | null;

/** Some rows of a frame. */
export interface IPage {
  columns: string[];
  dtypes: string[];
  rows: Value[][];
  /** Rows of the whole frame. */
  height: number;
}

/** Which rows, in which order. */
export interface IPageQuery {
  offset: number;
  length: number;
  sort: string | null;
  descending: boolean;
}

export type Ask =
  | { ask: 'variables' }
  | { ask: 'preview'; name: string }
  | ({ ask: 'page'; name: string } & IPageQuery)
  | { ask: 'format'; code: string };

export type Question = { id: number } & Ask;

export interface IAnswer {
  id: number;
  value?: unknown;
  error?: string;
}

/** Reads an answer; null for what is none. */
export function readAnswer(data: unknown): IAnswer | null {
  if (typeof data !== 'object' || data === null) {
    return null;
  }
  const { id, value, error } = data as Record<string, unknown>;
  if (typeof id !== 'number') {
    return null;
  }
  return typeof error === 'string' ? { id, error } : { id, value };
}

/** Numbers questions and hands answers to who asked. */
export class Desk {
  private next = 1;
  private waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (reason: Error) => void }
  >();

  /** Sends a question with `send`; resolves with the answer's value. */
  ask<T>(ask: Ask, send: (question: Question) => void): Promise<T> {
    const id = this.next++;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: value => resolve(value as T), reject });
      try {
        send({ id, ...ask } as Question);
      } catch (error) {
        this.waiting.delete(id);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /** Takes what came over the comm. */
  receive(data: unknown): void {
    const answer = readAnswer(data);
    const asked = answer && this.waiting.get(answer.id);
    if (!answer || !asked) {
      return;
    }
    this.waiting.delete(answer.id);
    if (answer.error !== undefined) {
      asked.reject(new Error(answer.error));
    } else {
      asked.resolve(answer.value);
    }
  }

  /** Nobody answers any more. */
  close(reason: string): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    waiting.forEach(({ reject }) => reject(new Error(reason)));
  }
}
