/** The clip: played, sought, on the clock of the page; a message where it is not to be found. */

const player = { media: null, picture: null };
const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];

/** Builds the player; its file comes later, when the curves are drawn. */
function buildPlayer() {
  const { clip } = data, place = byId("player");
  if (clip.kind === "none") {
    place.append(missing("No clip in this page.", clip.note));
    return;
  }
  const media = el(clip.picture ? "video" : "audio", { id: "media", preload: "auto", playsInline: true, controls: !clip.picture, "aria-label": `Clip ${clip.name}` });
  player.media = media;
  if (clip.picture) {
    const canvas = el("canvas", { id: "picture", "aria-hidden": "true" });
    player.picture = canvas;
    const frame = el("div", { className: "frame", style: { aspectRatio: `${clip.width} / ${clip.height}`, maxWidth: `calc(46vh * ${clip.width / clip.height})` } }, media, canvas);
    frame.addEventListener("click", togglePlay);
    place.append(frame);
  } else place.append(el("p", { className: "quiet", textContent: "Sound only: there is no picture." }), media);
  media.addEventListener("play", () => ((state.playing = true), emit("playing")));
  media.addEventListener("pause", () => ((state.playing = false), emit("playing")));
  media.addEventListener("seeked", () => emit("time"));
  media.addEventListener("error", () => showMissing());
  watchFrames(media);
}

/** Gives the player its file: the bytes in the page, or the file beside it. */
function loadClip() {
  const { clip } = data, { media } = player;
  if (!media) return;
  if (clip.kind === "beside") {
    media.src = clip.path;
    return;
  }
  const script = byId("clip");
  media.src = URL.createObjectURL(new Blob([bytesOf(script.textContent)], { type: clip.type }));
  script.remove(); // its text is as large as the clip
}

function missing(text, more) {
  return el("div", { className: "missing", role: "alert" }, el("strong", { textContent: text }), el("p", { textContent: more }));
}

/** Says that the file has gone, and lets the reader point to it. */
function showMissing() {
  if (byId("player").querySelector(".missing")) return;
  const { clip } = data;
  const said = clip.kind === "beside"
    ? missing(`The clip “${clip.name}” is not where it was.`, `This page looks for it at ${decodeURI(clip.path)}. Put it back, or choose it:`)
    : missing(`This browser cannot play “${clip.name}”.`, "Choose a copy that it can play:");
  const choose = el("input", { type: "file", accept: "video/*,audio/*", "aria-label": "Choose the clip" });
  choose.addEventListener("change", () => {
    if (!choose.files.length) return;
    said.remove();
    player.media.src = URL.createObjectURL(choose.files[0]);
  });
  said.append(choose);
  byId("player").append(said);
}

/** Follows the pictures that are shown; where the browser does not tell them, the clock. */
function watchFrames(media) {
  const { offset } = data.clip;
  const follow = (time) => {
    state.shown = time;
    if (!media.paused) {
      setTime(time);
      followCursor();
    } else emit("shown");
  };
  if (media.requestVideoFrameCallback) {
    const next = (_, told) => {
      follow(told.mediaTime - offset);
      media.requestVideoFrameCallback(next);
    };
    media.requestVideoFrameCallback(next);
  }
  const tick = () => {
    if (!media.paused && !(media.requestVideoFrameCallback && media.videoWidth)) follow(media.currentTime - offset);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

function seek(time) {
  state.shown = null;
  setTime(time);
  if (player.media) player.media.currentTime = Math.max(0, state.time + data.clip.offset);
}

function togglePlay() {
  const { media } = player;
  if (!media) return;
  if (media.paused) media.play().catch((error) => say(`It cannot be played: ${error.message}`));
  else media.pause();
}

function setSpeed(speed) {
  state.speed = Math.min(Math.max(speed, SPEEDS[0]), SPEEDS.at(-1));
  if (player.media) player.media.playbackRate = state.speed;
  emit("speed");
}

/** The next slower or faster of the speeds. */
function stepSpeed(by) {
  const at = SPEEDS.findIndex((speed) => speed >= state.speed - 1e-6);
  setSpeed(SPEEDS[Math.min(Math.max(at + by, 0), SPEEDS.length - 1)]);
}

/** One picture further or back. */
function stepFrame(by) {
  player.media?.pause();
  const person = people.find((one) => one.times.length);
  if (!person) return;
  const row = Math.min(Math.max(rowFrom(person.times, state.time + 1e-6) - 1 + by, 0), person.times.length - 1);
  const next = person.times[row + 1] ?? person.times[row] + person.step;
  seek(person.times[row] + Math.min(0.25 * (next - person.times[row]), 0.01)); // within it, not on its edge
}
