/** Pointer, wheel and fingers over the tracks: click seeks, drag selects, a click on an event does both, wheel and pinch zoom. */

const DRAGGED = 4; // pixels from which on a click is a drag

function watchTracks() {
  const place = byId("tracks"), fingers = new Map();
  let began = null; // { track, x, time, event, selecting }
  const trackOf = (event) => event.target.closest?.(".plot")?.closest(".track") ?? null;
  const timeIn = (track, x) => {
    const { left } = track.getBoundingClientRect(), plot = track.clientWidth - GUTTER - RIGHT;
    return state.view.from + ((x - left - GUTTER) / plot) * (state.view.to - state.view.from);
  };

  place.addEventListener("pointerdown", (event) => {
    const track = trackOf(event);
    if (!track || event.button) return;
    fingers.set(event.pointerId, event.clientX);
    if (fingers.size === 2) (began = null), setSelection(null);
    else if (fingers.size === 1) began = { track, x: event.clientX, time: timeIn(track, event.clientX), event: eventUnder(event), selecting: false };
    track.setPointerCapture(event.pointerId);
  });

  place.addEventListener("pointermove", (event) => {
    const track = began?.track ?? trackOf(event) ?? event.target.closest?.(".track");
    if (fingers.size === 2 && fingers.has(event.pointerId)) {
      pinch(event, track ?? place.querySelector(".track"));
      return;
    }
    if (!began) hintEvent(event);
    if (!track) return setHover(null);
    const time = timeIn(track, event.clientX);
    if (!began) return setHover(time >= state.view.from && time <= state.view.to ? time : null);
    if (Math.abs(event.clientX - began.x) >= DRAGGED) began.selecting = true;
    if (began.selecting) setSelection(began.time, time);
  });

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (!began) return;
    const { track, selecting, time, event: bar } = began;
    began = null;
    if (event.type === "pointercancel") return;
    if (selecting) say(`Selected ${clock(state.selection.from)} to ${clock(state.selection.to)}`);
    else if (bar) goToEvent(bar);
    else if (track.isConnected) {
      if (state.selection) setSelection(null);
      seek(time);
    }
  };
  place.addEventListener("pointerup", end);
  place.addEventListener("pointercancel", end);
  place.addEventListener("pointerleave", () => setHover(null));

  const pinch = (event, track) => {
    const [first, second] = [...fingers.values()], before = Math.abs(first - second), middle = timeIn(track, (first + second) / 2);
    fingers.set(event.pointerId, event.clientX);
    const [a, b] = [...fingers.values()], after = Math.abs(a - b), length = state.view.to - state.view.from;
    if (before < 8 || after < 8) return;
    zoom(after / before, middle);
    const moved = (((a + b) / 2 - (first + second) / 2) / (track.clientWidth - GUTTER - RIGHT)) * length;
    setView(state.view.from - moved, state.view.to - moved);
  };

  place.addEventListener("wheel", (event) => {
    const track = trackOf(event), length = state.view.to - state.view.from;
    if (!track) return;
    const step = event.deltaMode ? 30 : 1, across = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (Math.abs(across) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      const moved = (across * step * length) / track.clientWidth;
      return setView(state.view.from + moved, state.view.to + moved);
    }
    const closer = event.deltaY < 0, whole = length >= state.end - state.start - 1e-6;
    if (whole && !closer) return; // nothing further out: the page scrolls
    event.preventDefault();
    zoom(Math.exp((-event.deltaY * step) / (event.ctrlKey ? 100 : 400)), timeIn(track, event.clientX));
  }, { passive: false });
}
