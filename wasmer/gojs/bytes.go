package gojs

import (
	"math"
)

// byteArray is the slot of a Uint8Array or Uint8ClampedArray.
type byteArray struct {
	data    []byte
	clamped bool
	// owner is the array that the bytes belong to, if it is another one.
	owner *object
	// spent is the number of the call of fs that was the array's last use; 0 if it has had other uses.
	spent uint64
}

// toByte converts what is stored into the array: modulo 256, or to the nearest byte.
func (b *byteArray) toByte(v value) byte {
	if !b.clamped {
		return byte(toUint32(v))
	}
	f, _ := v.(float64)
	return byte(math.RoundToEven(min(max(f, 0), 255)))
}

func (g *guest) newBytes(data []byte) (*object, error) {
	if err := g.charge(objectSize + int64(len(data))); err != nil {
		return nil, err
	}
	return &object{prototype: g.prototypes.bytes, slot: &byteArray{data: data}}, nil
}

// constructBytes is new Uint8Array: of a length, or of the elements of an array.
func constructBytes(prototype *object, clamped bool) callable {
	return func(g *guest, _ value, args []value) (value, error) {
		source := argument(args, 0)
		length := toInteger(source)
		from, isArray := slotOf[*array](source)
		other, isBytes := slotOf[*byteArray](source)
		switch {
		case isArray:
			length = int64(len(from.elements))
		case isBytes:
			length = int64(len(other.data))
		case length < 0 || length > maxBytes:
			return nil, g.newError("RangeError", "Invalid typed array length: "+formatNumber(float64(length)))
		}
		if err := g.charge(objectSize + length); err != nil {
			return nil, err
		}
		b := &byteArray{data: make([]byte, length), clamped: clamped}
		if isBytes {
			copy(b.data, other.data)
		} else if isArray {
			for i, v := range from.elements {
				b.data[i] = b.toByte(v)
			}
		}
		return &object{prototype: prototype, slot: b}, nil
	}
}

// maxBytes bounds the length of an array of bytes.
const maxBytes = math.MaxUint32

var bytesMethods = map[string]callable{
	"set":      method(bytesSet),
	"slice":    method(bytesSlice),
	"subarray": bytesSubarray,
}

func bytesSet(g *guest, b *byteArray, args []value) (value, error) {
	offset := toInteger(argument(args, 1))
	switch source := argument(args, 0); {
	case offset < 0 || offset > int64(len(b.data)):
	default:
		if other, ok := slotOf[*byteArray](source); ok && len(other.data) <= len(b.data[offset:]) {
			copy(b.data[offset:], other.data)
			return nil, nil
		}
		if other, ok := slotOf[*array](source); ok && len(other.elements) <= len(b.data[offset:]) {
			for i, v := range other.elements {
				b.data[offset+int64(i)] = b.toByte(v)
			}
			return nil, nil
		}
	}
	return nil, g.newError("RangeError", "offset is out of bounds")
}

func bytesSlice(g *guest, b *byteArray, args []value) (value, error) {
	from, to := span(args, len(b.data))
	if err := g.charge(objectSize + int64(to-from)); err != nil {
		return nil, err
	}
	data := append(make([]byte, 0, to-from), b.data[from:to]...)
	return b.like(g, data), nil
}

// bytesSubarray shares the bytes.
func bytesSubarray(g *guest, this value, args []value) (value, error) {
	b, ok := slotOf[*byteArray](this)
	if !ok {
		return nil, g.typeError("Method called on incompatible receiver of type " + typeOf(this))
	}
	from, to := span(args, len(b.data))
	part := b.like(g, b.data[from:to:to])
	owner := b.owner
	if owner == nil {
		owner = this.(*object)
	}
	part.slot.(*byteArray).owner = owner
	return part, g.charge(objectSize)
}

func (b *byteArray) like(g *guest, data []byte) *object {
	prototype := g.prototypes.bytes
	if b.clamped {
		prototype = g.prototypes.clamped
	}
	return &object{prototype: prototype, slot: &byteArray{data: data, clamped: b.clamped}}
}
