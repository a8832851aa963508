// The side bar's panel, and the tabs with frames that it opens.

import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IThemeManager, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { LabIcon } from '@jupyterlab/ui-components';

import variableIcon from '../../../style/variables.svg';
import { KernelClient } from '../../kernel';
import { CommandIDs, PluginIDs } from '../../tokens';
import { FrameWidget } from '../frame/widget';
import { VariablesPanel } from './panel';

const icon = new LabIcon({ name: 'oxilab:variables', svgstr: variableIcon });

export const variables: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.variables,
  description: 'Lists the variables of a Rust notebook and opens frames.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ILayoutRestorer, IThemeManager],
  activate
};

function activate(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  themes: IThemeManager | null
): void {
  const clients = new Clients();
  const frames = new WidgetTracker<FrameWidget>({ namespace: 'oxilab-frames' });
  let current: NotebookPanel | null = null;

  const open = (name: string) => {
    if (current === null) {
      return;
    }
    const client = clients.of(current);
    const shown = frames.find(frame => frame.name === name && frame.isOf(client));
    const frame = shown ?? new FrameWidget(name, client, themes);
    if (!shown) {
      void frames.add(frame);
      app.shell.add(frame, 'main', { mode: 'split-bottom', ref: current.id });
    }
    app.shell.activateById(frame.id);
  };

  const panel = new VariablesPanel(variable => open(variable.name));
  panel.id = 'oxilab-variables';
  panel.title.icon = icon;
  panel.title.caption = 'Rust variables';
  app.shell.add(panel, 'right', { rank: 600 });
  restorer?.add(panel, panel.id);

  const follow = (notebook: NotebookPanel | null) => {
    // A frame's tab takes the focus, and the panel still shows its notebook.
    if (notebook !== null || current?.isDisposed) {
      current = notebook;
      panel.setClient(notebook && clients.of(notebook));
    }
  };
  notebooks.currentChanged.connect((_, notebook) => follow(notebook));
  follow(notebooks.currentWidget);

  app.commands.addCommand(CommandIDs.openFrame, {
    label: args => `Open Frame ${String(args.name ?? '')}`,
    describedBy: {
      args: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }
    },
    execute: args => open(String(args.name))
  });
  app.commands.addCommand(CommandIDs.showVariables, {
    label: 'Show Rust Variables',
    execute: () => app.shell.activateById(panel.id)
  });
  palette?.addItem({ command: CommandIDs.showVariables, category: 'Rust' });
}

/** One client per notebook, for as long as the notebook is open. */
class Clients {
  private known = new Map<NotebookPanel, KernelClient>();

  of(notebook: NotebookPanel): KernelClient {
    const found = this.known.get(notebook);
    if (found) {
      return found;
    }
    const client = new KernelClient(notebook.sessionContext);
    this.known.set(notebook, client);
    notebook.disposed.connect(() => {
      this.known.delete(notebook);
      client.dispose();
    });
    return client;
  }
}
