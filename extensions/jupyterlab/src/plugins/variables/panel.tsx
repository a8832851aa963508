// The table of variables in the side bar.

import { ReactWidget } from '@jupyterlab/apputils';
import { Debouncer } from '@lumino/polling';
import * as React from 'react';

import { KernelClient } from '../../kernel';
import { IVariable } from '../../protocol';
import { clicked, Key, Order, sorted } from '../../sorting';
import { bytes } from '../../text';

/** Cells end in quick succession with Run All. */
const PAUSE = 150;

const HEADINGS: [Key, string][] = [
  ['name', 'Name'],
  ['type_name', 'Type'],
  ['shape', 'Shape'],
  ['bytes', 'Memory'],
  ['preview', 'Value']
];

export class VariablesPanel extends ReactWidget {
  private client: KernelClient | null = null;
  private variables: IVariable[] = [];
  private order: Order = null;
  private note = 'Open a notebook of the Rust kernel.';
  private readonly refresher = new Debouncer(() => this.refresh(), PAUSE);

  constructor(private readonly open: (variable: IVariable) => void) {
    super();
    this.addClass('oxilab-Variables');
  }

  /** Shows the variables of another notebook's kernel. */
  setClient(client: KernelClient | null): void {
    if (client === this.client) {
      return;
    }
    this.client?.changed.disconnect(this.changed, this);
    this.client = client;
    this.variables = [];
    client?.changed.connect(this.changed, this);
    this.changed();
  }

  protected onAfterShow(): void {
    this.changed();
  }

  private changed(): void {
    if (this.isVisible) {
      void this.refresher.invoke().catch(() => undefined);
    }
  }

  private async refresh(): Promise<void> {
    const client = this.client;
    try {
      const variables = (await client?.variables()) ?? [];
      if (client !== this.client) {
        return;
      }
      this.variables = variables;
      this.note = variables.length === 0 ? 'No variables yet.' : '';
    } catch (error) {
      if (client !== this.client) {
        return;
      }
      this.variables = [];
      this.note = (error as Error).message;
    }
    this.update();
  }

  render(): JSX.Element {
    const turn = (key: Key) => {
      this.order = clicked(this.order, key);
      this.update();
    };
    const rows = sorted(this.variables, this.order);
    return (
      <>
        {this.note && <div className="oxilab-Variables-note">{this.note}</div>}
        {rows.length > 0 && (
          <div className="oxilab-Variables-scroll">
            <table>
              <thead>
                <tr>
                  {HEADINGS.map(([key, text]) => (
                    <th key={key} aria-sort={direction(this.order, key)}>
                      <button onClick={() => turn(key)}>
                        {text}
                        {arrow(this.order, key)}
                      </button>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map(variable => (
                  <Row key={variable.name} variable={variable} open={this.open} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </>
    );
  }
}

function Row(props: { variable: IVariable; open: (variable: IVariable) => void }): JSX.Element {
  const { variable, open } = props;
  const { name, type_name, shape, preview, pages } = variable;
  return (
    <tr data-variable={name} onDoubleClick={() => pages && open(variable)}>
      <td>
        {pages ? (
          <a role="button" title={`Open ${name}`} onClick={() => open(variable)}>
            {name}
          </a>
        ) : (
          name
        )}
      </td>
      <td title={type_name}>{type_name}</td>
      <td>{shape}</td>
      <td className="oxilab-number">{bytes(variable.bytes)}</td>
      <td title={preview}>
        <code>{preview}</code>
      </td>
    </tr>
  );
}

function direction(order: Order, key: Key): 'ascending' | 'descending' | 'none' {
  if (order?.key !== key) {
    return 'none';
  }
  return order.descending ? 'descending' : 'ascending';
}

function arrow(order: Order, key: Key): string {
  return { none: '', ascending: ' ▲', descending: ' ▼' }[direction(order, key)];
}
