package wasmer

import "math"

// I8x16 makes a value of type v128 from its lanes, lane 0 first. ToI8x16 reads them, whatever the type.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#vector-types
func I8x16(lanes [16]int8) Value {
	var halves [2]uint64
	for i, lane := range lanes {
		halves[i/8] |= uint64(uint8(lane)) << (i % 8 * 8)
	}
	return V128(halves[0], halves[1])
}

// I16x8 makes a value of type v128 from its lanes.
func I16x8(lanes [8]int16) Value {
	var halves [2]uint64
	for i, lane := range lanes {
		halves[i/4] |= uint64(uint16(lane)) << (i % 4 * 16)
	}
	return V128(halves[0], halves[1])
}

// I32x4 makes a value of type v128 from its lanes.
func I32x4(lanes [4]int32) Value {
	var halves [2]uint64
	for i, lane := range lanes {
		halves[i/2] |= uint64(uint32(lane)) << (i % 2 * 32)
	}
	return V128(halves[0], halves[1])
}

// I64x2 makes a value of type v128 from its lanes.
func I64x2(lanes [2]int64) Value { return V128(uint64(lanes[0]), uint64(lanes[1])) }

// F32x4 makes a value of type v128 from its lanes.
func F32x4(lanes [4]float32) Value {
	var halves [2]uint64
	for i, lane := range lanes {
		halves[i/2] |= uint64(math.Float32bits(lane)) << (i % 2 * 32)
	}
	return V128(halves[0], halves[1])
}

// F64x2 makes a value of type v128 from its lanes.
func F64x2(lanes [2]float64) Value {
	return V128(math.Float64bits(lanes[0]), math.Float64bits(lanes[1]))
}

// lane is the lane of a width in bits, low bits.
func (v Value) lane(i, width int) uint64 {
	half, perHalf := v.lo, 64/width
	if i >= perHalf {
		half = v.hi
	}
	return half >> (i % perHalf * width)
}

// ToI8x16 gives the lanes of a v128.
func (v Value) ToI8x16() (lanes [16]int8) {
	for i := range lanes {
		lanes[i] = int8(v.lane(i, 8))
	}
	return lanes
}

// ToI16x8 gives the lanes of a v128.
func (v Value) ToI16x8() (lanes [8]int16) {
	for i := range lanes {
		lanes[i] = int16(v.lane(i, 16))
	}
	return lanes
}

// ToI32x4 gives the lanes of a v128.
func (v Value) ToI32x4() (lanes [4]int32) {
	for i := range lanes {
		lanes[i] = int32(v.lane(i, 32))
	}
	return lanes
}

// ToI64x2 gives the lanes of a v128.
func (v Value) ToI64x2() [2]int64 { return [2]int64{int64(v.lo), int64(v.hi)} }

// ToF32x4 gives the lanes of a v128.
func (v Value) ToF32x4() (lanes [4]float32) {
	for i := range lanes {
		lanes[i] = math.Float32frombits(uint32(v.lane(i, 32)))
	}
	return lanes
}

// ToF64x2 gives the lanes of a v128.
func (v Value) ToF64x2() [2]float64 {
	return [2]float64{math.Float64frombits(v.lo), math.Float64frombits(v.hi)}
}
