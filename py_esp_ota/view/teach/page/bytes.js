/** Bytes out of the page itself. */

/** What `deflated` of the package made: base64 of a zlib stream. */
export const inflated = async (text) => {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

/** The bytes in an inert element of the page. */
export const bytesIn = (id) => inflated(document.getElementById(id).textContent.trim());

export const text = (bytes) => new TextDecoder().decode(bytes);

export const hex = (value, digits = 6) => `0x${value.toString(16).padStart(digits, "0")}`;

/** Every number of the runs `[first, count]`. */
export const spread = (runs) => runs.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));
