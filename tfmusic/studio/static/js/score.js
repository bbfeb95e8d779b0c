// Sheet music, engraved by OpenSheetMusicDisplay; loaded when it is first asked for.

let library = null;

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/opensheetmusicdisplay.min.js";
    script.onload = () => resolve(globalThis.opensheetmusicdisplay);
    script.onerror = () => {
      library = null;
      reject(new Error("the score view cannot be loaded"));
    };
    document.head.append(script);
  });
  return library;
}

/** Draws a piece of the server into an element. */
export async function drawScore(host, piece) {
  const response = await fetch(`/api/pieces/${piece}.musicxml`);
  if (!response.ok) throw new Error((await response.json()).error);
  const [{ OpenSheetMusicDisplay }, text] = await Promise.all([load(), response.text()]);
  host.replaceChildren();
  const display = new OpenSheetMusicDisplay(host, {
    autoResize: false,
    drawingParameters: "compacttight",
    drawTitle: false,
    drawPartNames: false,
    drawMeasureNumbers: true,
  });
  await display.load(text);
  display.Zoom = 0.7;
  display.render();
}
