// The builder reads pictures as text.

declare module '*.svg' {
  const text: string;
  export default text;
}
