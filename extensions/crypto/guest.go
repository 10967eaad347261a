package crypto

import (
	"context"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// maxName is how many bytes a name of an algorithm or an option has at most.
const maxName = 64

// guest is what a host function may touch of the instance that called it.
type guest struct {
	*session
	ctx    context.Context
	memory *wasmer.Memory
}

// enter finds the caller's. Without an instance (the host calls through a reference) there are no handles and no memory.
func (m *Module) enter(c *wasmer.Caller) guest {
	instance := c.Instance()
	if instance == nil {
		return guest{session: &session{&table{}}, ctx: c.Context()}
	}
	return guest{m.sessions.Of(instance), c.Context(), c.Memory()}
}

// read copies n bytes of the guest.
func (g guest) read(pointer, n uint32) ([]byte, errno) {
	if int64(n) > int64(g.table.config.MaxBytes) {
		return nil, overflow
	}
	data, err := g.memory.Read(uint64(pointer), uint64(n))
	if err != nil {
		return nil, algorithmFailure
	}
	return data, success
}

// stream shows n bytes of the guest piece by piece, so that what is long can be stopped.
func (g guest) stream(pointer, n uint32, f func([]byte)) errno {
	const piece = 1 << 20
	answer := algorithmFailure
	_ = g.memory.View(func(data []byte) error {
		begin, end := uint64(pointer), uint64(pointer)+uint64(n)
		if end > uint64(len(data)) {
			return nil
		}
		for ; begin < end; begin += piece {
			if g.ctx.Err() != nil {
				return nil
			}
			f(data[begin:min(begin+piece, end)])
		}
		answer = success
		return nil
	})
	return answer
}

// name reads the name of an algorithm or an option, in the letters of tables; no such thing has a longer name than maxName.
func (g guest) name(pointer, n uint32) (string, errno) {
	if err := g.inBounds(pointer, n); err != success {
		return "", err
	}
	if n > maxName {
		return "", success
	}
	name, err := g.memory.ReadString(uint64(pointer), uint64(n))
	if err != nil {
		return "", algorithmFailure
	}
	return strings.ToUpper(name), success
}

// option reads an optional handle: a byte that is 0 if there is one, 1 if there is none, and the handle at offset 4.
func (g guest) option(pointer uint32) (h handle, given bool, err errno) {
	data, err := g.read(pointer, 8)
	if err != success {
		return 0, false, err
	}
	switch data[0] {
	case 0:
		return handle(uint32(data[4]) | uint32(data[5])<<8 | uint32(data[6])<<16 | uint32(data[7])<<24), true, success
	case 1:
		return 0, false, success
	}
	return 0, false, algorithmFailure
}

// inBounds checks that n bytes lie in the memory, before anything is done whose result goes there.
func (g guest) inBounds(pointer, n uint32) errno {
	if uint64(pointer)+uint64(n) > g.memory.Size() {
		return algorithmFailure
	}
	return success
}

func (g guest) write(pointer uint32, data []byte) errno {
	if g.memory.Write(uint64(pointer), data) != nil {
		return algorithmFailure
	}
	return success
}

func (g guest) writeUint32(pointer, v uint32) errno {
	if g.memory.WriteUint32Le(uint64(pointer), v) != nil {
		return algorithmFailure
	}
	return success
}

// open opens a handle and writes it; the object is closed if that fails.
func (g guest) open(pointer uint32, o object, bytes int) errno {
	if err := g.inBounds(pointer, 4); err != success {
		o.close()
		return err
	}
	h, err := g.add(o, bytes)
	if err != success {
		return err
	}
	return g.writeUint32(pointer, uint32(h))
}
