import { type Device, type DeviceKind, deviceKinds } from '../device/index';
import { invalidOption } from '../errors';

/** The device that stands among options. Who is given one owns it, and disposes of it also where other options are refused. */
export function givenDevice(options: { readonly device?: DeviceKind | Device | undefined }): Device | undefined {
  return typeof options?.device === 'object' ? options.device : undefined;
}

/**
 * The device that was asked for: of a kind, opened by the machine that this runs on, or the one that was given.
 *
 * @param owner what the option belongs to, for the message
 * @throws RlpaError `invalid-option` for a kind that there is not, `missing-dependency`, `device-failed`
 */
export async function openedDevice(owner: string, device: DeviceKind | Device): Promise<Device> {
  if (typeof device !== 'string') return device;
  if (!deviceKinds.includes(device)) {
    const kinds = deviceKinds.map((kind) => `'${kind}'`).join(', ');
    throw invalidOption(owner, 'device', `${kinds} or a device`, device);
  }
  return (await import('#policy-host')).policyHost.openDevice(device);
}
