package hostile

import (
	"encoding/binary"
	"math"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Memory begins with places for what functions write, and goes on with data, lists of places and lengths, and random bytes.
const (
	outputs = 0
	data    = 1 << 10
	lists   = 1 << 16
	noise   = lists + 1<<12
	end     = pages * wasmer.PageSize
)

// prepare changes what the guest's memory holds, now and then, after looking at what was written to it.
func (a *attack) prepare() error {
	memory := a.guest.Memory
	for offset := uint64(outputs); offset < 64; offset += 4 {
		if number, err := memory.ReadUint32Le(offset); err != nil {
			return err
		} else if number != 0 {
			a.see(uint64(number))
		}
	}
	if err := memory.Write(outputs, make([]byte, data-outputs)); err != nil {
		return err
	}
	if a.random.IntN(16) != 0 {
		return nil
	}
	place := uint64(data)
	for _, seed := range a.config.Data {
		if place+uint64(len(seed)) > lists {
			break
		}
		bytes := []byte(seed)
		if len(bytes) > 0 && a.random.IntN(4) == 0 {
			bytes[a.random.IntN(len(bytes))] ^= 1 << a.random.IntN(8)
		}
		if err := memory.Write(place, bytes); err != nil {
			return err
		}
		place += (uint64(len(seed)) + 15) &^ 15
	}
	list := make([]byte, noise-lists)
	for at := 0; at < len(list); at += 4 {
		binary.LittleEndian.PutUint32(list[at:], uint32(a.number()))
	}
	random := make([]byte, 1<<10)
	for i := range random {
		random[i] = byte(a.random.Uint32())
	}
	if err := memory.Write(lists, list); err != nil {
		return err
	}
	return memory.Write(noise+uint64(a.random.IntN(end-noise-len(random))), random)
}

// arguments chooses what a function is called with. A place is often followed by the length of what is there.
func (a *attack) arguments(typ wasmer.FunctionType, stack []uint64) {
	slot := 0
	for _, param := range typ.Params {
		switch {
		case param == wasmer.ValueTypeV128:
			stack[slot], stack[slot+1] = a.random.Uint64(), a.random.Uint64()
			slot++
		case len(a.config.Data) > 0 && slot+1 < len(typ.Params) && a.random.IntN(3) == 0:
			place, length := a.seed()
			stack[slot], stack[slot+1] = place, length
		case slot > 0 && stack[slot] != 0: // the length that belongs to the place before it
		default:
			stack[slot] = a.number()
		}
		slot++
	}
}

// seed is the place and length of one of the data.
func (a *attack) seed() (place, length uint64) {
	chosen := a.random.IntN(len(a.config.Data))
	place = data
	for _, seed := range a.config.Data[:chosen] {
		place += (uint64(len(seed)) + 15) &^ 15
	}
	return place, uint64(len(a.config.Data[chosen]))
}

// number is a place, a length, a handle, a code, or anything else.
func (a *attack) number() uint64 {
	switch a.random.IntN(10) {
	case 0:
		return 0
	case 1:
		return uint64(a.random.IntN(16))
	case 2:
		return uint64(a.random.IntN(1 << 10))
	case 3:
		return uint64(outputs + 4*a.random.IntN(16))
	case 4:
		return uint64(lists + 4*a.random.IntN((noise-lists)/4))
	case 5:
		return uint64(a.random.IntN(end))
	case 6: // about where memory ends
		return uint64(end - 8 + a.random.IntN(16))
	case 7:
		edges := []uint64{math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64}
		return edges[a.random.IntN(len(edges))] - uint64(a.random.IntN(3))
	case 8:
		return a.random.Uint64()
	}
	if len(a.seen) == 0 {
		return 1
	}
	return a.seen[a.random.IntN(len(a.seen))]
}
