/** Open cameras, and say what to do if one cannot be opened. */

const REASONS = {
  NotAllowedError: "The camera is blocked. Allow it for this page in the address bar or the settings of the browser.",
  NotFoundError: "No camera was found. Connect one, or choose photos or a video.",
  NotReadableError: "The camera is used by another program. Close that program, and try again.",
  OverconstrainedError: "The chosen camera is no longer connected. Choose another one.",
};

/**
 * Open a camera.
 *
 * @param deviceId - the chosen device; empty for the browser's choice, on phones the front camera.
 * @throws Error with a message for people.
 */
export async function openCamera(deviceId) {
  if (!window.isSecureContext) {
    throw new Error(
      "Browsers open the camera only on pages with https:// or on this computer. Photos and videos work.",
    );
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("This browser has no access to cameras. Choose photos or a video, or use another browser.");
  }
  const device = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...device, width: { ideal: 1280 } } });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The camera cannot be opened: ${error.message || error.name}.`);
  }
}

/** List the cameras as `{id, name}`. Browsers tell their names only after one was opened. */
export async function listCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, name: device.label || `Camera ${index + 1}` }));
}

/** Return whether people expect to see themselves as in a mirror. */
export function isSelfView(media) {
  return media.getVideoTracks()[0].getSettings().facingMode !== "environment";
}
