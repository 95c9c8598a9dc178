/** hls.js ships no types for its build without subtitles and DRM; they are those of the full build. */
declare module "hls.js/light" {
  export { default } from "hls.js";
}
