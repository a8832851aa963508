// What is tested here knows nothing of JupyterLab; the rest is tested in a browser, in tests/browser.
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/src/__tests__/*.spec.ts'],
  transform: { '\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.test.json' }] }
};
