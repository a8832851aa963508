import messages from '../messages.json';
import { Ask, Desk, IPage, IVariable, Question, readAnswer } from '../protocol';

const answered = (id: number) => messages.answers.find(answer => answer.id === id);

describe('Desk', () => {
  it('writes questions as the kernel reads them', () => {
    const desk = new Desk();
    const sent: Question[] = [];
    const asks: Ask[] = [
      { ask: 'variables' },
      { ask: 'preview', name: 'df' },
      { ask: 'page', name: 'df', offset: 200, length: 100, sort: 'mpg', descending: true },
      { ask: 'format', code: 'let x=1;' }
    ];
    asks.forEach(ask => void desk.ask(ask, question => sent.push(question)));
    expect(sent).toEqual(messages.questions);
  });

  it('hands each answer to who asked, in any order', async () => {
    const desk = new Desk();
    const variables = desk.ask<IVariable[]>({ ask: 'variables' }, () => undefined);
    const preview = desk.ask({ ask: 'preview', name: 'gone' }, () => undefined);
    desk.receive({ id: 2, error: 'there is no variable `gone`' });
    desk.receive(answered(1));
    await expect(preview).rejects.toThrow('there is no variable `gone`');
    expect((await variables)[0].shape).toBe('398 × 9');
  });

  it('passes over what is no answer and tells the waiting when it closes', async () => {
    const desk = new Desk();
    const waiting = desk.ask({ ask: 'variables' }, () => undefined);
    [null, 3, 'x', {}, { id: 'one' }, { id: 99, value: 1 }].forEach(data => desk.receive(data));
    desk.close('the kernel is gone');
    await expect(waiting).rejects.toThrow('the kernel is gone');
  });

  it('rejects when the question cannot be sent', async () => {
    const desk = new Desk();
    const asked = desk.ask({ ask: 'variables' }, () => {
      throw new Error('disposed');
    });
    await expect(asked).rejects.toThrow('disposed');
  });
});

it('reads pages as the kernel writes them', () => {
  const page = readAnswer(answered(3))?.value as IPage;
  expect(page.rows).toEqual([[18, 'usa'], [null, 'japan']]);
  expect(page.height).toBe(398);
});
