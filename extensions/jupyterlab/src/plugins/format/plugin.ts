// Formats the selected cells; the kernel runs rustfmt.

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { ICellModel } from '@jupyterlab/cells';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { KernelClient } from '../../kernel';
import { CommandIDs, PluginIDs } from '../../tokens';

export const format: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.format,
  description: 'Formats cells of a Rust notebook.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette],
  activate
};

function activate(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  palette: ICommandPalette | null
): void {
  app.commands.addCommand(CommandIDs.formatCell, {
    label: 'Format Cell',
    caption: 'Format the selected Rust cells with rustfmt',
    isEnabled: () => notebooks.currentWidget !== null,
    isVisible: () => isRust(notebooks.currentWidget),
    execute: async () => {
      const notebook = notebooks.currentWidget;
      if (notebook) {
        await formatSelected(notebook);
      }
    }
  });
  palette?.addItem({ command: CommandIDs.formatCell, category: 'Rust' });
}

function isRust(notebook: NotebookPanel | null): boolean {
  return notebook?.content.codeMimetype === 'text/x-rustsrc';
}

async function formatSelected(notebook: NotebookPanel): Promise<void> {
  const { content, sessionContext } = notebook;
  const cells = content.widgets.filter(
    cell => cell.model.type === 'code' && content.isSelectedOrActive(cell)
  );
  const client = new KernelClient(sessionContext);
  try {
    for (const { model } of cells) {
      await formatOne(client, model);
    }
  } catch (error) {
    Notification.error((error as Error).message, { autoClose: 10_000 });
  } finally {
    client.dispose();
  }
}

async function formatOne(client: KernelClient, model: ICellModel): Promise<void> {
  const before = model.sharedModel.getSource();
  if (before.trim() === '') {
    return;
  }
  const after = await client.format(before);
  // Typed in the meantime: what was formatted is no longer there.
  if (after !== before && model.sharedModel.getSource() === before) {
    model.sharedModel.setSource(after);
  }
}
