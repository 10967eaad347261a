package wasip1

import (
	"crypto/rand"
	"io"
)

// secureRandom is the operating system's randomness.
type secureRandom struct{}

func (secureRandom) Read(p []byte) (int, error) { return rand.Read(p) }

func (c *Call) RandomGet(buffer, n uint32) Errno {
	target, errno := c.bytes(buffer, n)
	if errno != Success {
		return errno
	}
	if c.system.config.Random != nil {
		if !c.system.randomness.take(c) {
			return stopped
		}
		defer c.system.randomness.give()
	}
	for len(target) > 0 {
		if c.isEnding() {
			return stopped
		}
		part := target[:min(len(target), 1<<20)]
		if _, err := io.ReadFull(c.random, part); err != nil {
			return EIO
		}
		target = target[len(part):]
	}
	return Success
}
