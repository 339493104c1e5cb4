/** What is used of Node's zlib, which the runtime has too; its types would bring all of Node's. */
declare module "node:zlib" {
  export function zstdCompressSync(bytes: Uint8Array): Uint8Array;
  export function zstdDecompressSync(bytes: Uint8Array): Uint8Array;
}
