// The build of the web app: hashed files for immutable caching, nothing inlined (the CSP is `default-src 'self'`,
// which also forbids data: URLs), no module-preload polyfill.
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    target: 'es2022',
    outDir: 'dist',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 300,
    manifest: 'manifest.json',
    // Hex hashes: the server tells hashed names from plain ones by their shape.
    rolldownOptions: { output: { hashCharacters: 'hex' } },
  },
  server: { proxy: { '/api': process.env.DAYMARK_URL ?? 'http://127.0.0.1:8080' } },
});
