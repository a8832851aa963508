// The only file that talks to a kernel.

import { ISessionContext } from '@jupyterlab/apputils';
import { Kernel, KernelMessage } from '@jupyterlab/services';
import { JSONObject } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { Ask, Desk, IPage, IPageQuery, IVariable, TARGET } from './protocol';

/** What the kernel calls itself in its `kernel_info`. */
const IMPLEMENTATION = 'oxilab';

const NO_KERNEL = 'This notebook is not run by the Rust kernel oxilab.';
const GONE = 'The kernel has ended or was restarted.';

/** Asks the kernel of one notebook, whichever kernel that is at the time. */
export class KernelClient implements IDisposable {
  /** A cell has ended, or there is another kernel. */
  readonly changed = new Signal<this, void>(this);
  private desk = new Desk();
  private comm: Kernel.IComm | null = null;

  constructor(readonly session: ISessionContext) {
    session.kernelChanged.connect(this.restarted, this);
    session.statusChanged.connect(this.statusChanged, this);
    session.iopubMessage.connect(this.heard, this);
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    if (this.disposed) {
      return;
    }
    this.disposed = true;
    this.drop();
    Signal.clearData(this);
  }

  variables(): Promise<IVariable[]> {
    return this.ask({ ask: 'variables' });
  }

  page(name: string, query: IPageQuery): Promise<IPage> {
    return this.ask({ ask: 'page', name, ...query });
  }

  format(code: string): Promise<string> {
    return this.ask({ ask: 'format', code });
  }

  /** Whether a cell runs, behind which questions about values wait. */
  get isBusy(): boolean {
    return this.session.session?.kernel?.status === 'busy';
  }

  private async ask<T>(ask: Ask): Promise<T> {
    const comm = await this.connect();
    return this.desk.ask<T>(ask, question => {
      comm.send(question as unknown as JSONObject);
    });
  }

  private async connect(): Promise<Kernel.IComm> {
    const kernel = this.session.session?.kernel;
    const info = await kernel?.info;
    if (!kernel || info?.implementation !== IMPLEMENTATION) {
      throw new Error(NO_KERNEL);
    }
    if (this.comm && !this.comm.isDisposed) {
      return this.comm;
    }
    const comm = kernel.createComm(TARGET);
    comm.onMsg = message => this.desk.receive(message.content.data);
    comm.onClose = () => {
      if (this.comm === comm) {
        this.drop();
      }
    };
    comm.open();
    this.comm = comm;
    return comm;
  }

  private drop(): void {
    const comm = this.comm;
    this.comm = null;
    this.desk.close(GONE);
    if (comm && !comm.isDisposed) {
      comm.close();
    }
  }

  private restarted(): void {
    this.drop();
    this.changed.emit();
  }

  private statusChanged(_: unknown, status: Kernel.Status): void {
    if (status === 'restarting' || status === 'autorestarting' || status === 'dead') {
      this.restarted();
    }
  }

  private heard(_: unknown, message: KernelMessage.IMessage): void {
    const iopub = message as KernelMessage.IIOPubMessage;
    const parent = message.parent_header as Partial<KernelMessage.IHeader>;
    if (
      KernelMessage.isStatusMsg(iopub) &&
      iopub.content.execution_state === 'idle' &&
      (parent.msg_type === 'execute_request' || parent.msg_type === 'kernel_info_request')
    ) {
      this.changed.emit();
    }
  }

  private disposed = false;
}
