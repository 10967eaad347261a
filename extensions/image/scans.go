package image

import "encoding/binary"

// maxPasses is how often a decoder goes through an image at most. Progressive JPEG files have about ten scans; one of 40 bytes
// can be as much work as all of the image.
const maxPasses = 100

// scansOf counts the scans of a JPEG file, which is as long as its first image. See https://www.w3.org/Graphics/JPEG/itu-t81.pdf,
// annex B.
func scansOf(file []byte) (scans int) {
	const restarts, lastRestart, end, scan = 0xd0, 0xd7, 0xd9, 0xda
	for at := 2; at+4 <= len(file); {
		marker := file[at+1]
		switch {
		case file[at] != 0xff || marker == 0xff: // pixels, or what fills a gap
			at++
		case marker == 0 || restarts <= marker && marker <= lastRestart:
			at += 2
		case marker == end:
			return scans
		default:
			if marker == scan {
				scans++
			}
			at += 2 + int(binary.BigEndian.Uint16(file[at+2:]))
		}
	}
	return scans
}
