package wasmer_test

import (
	"encoding/binary"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// encode gives the module in the binary format. It exports the functions as f1, f2, and so on.
func (m *referenceModule) encode() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, count int, contents []byte) {
		contents = append(binary.AppendUvarint(nil, uint64(count)), contents...)
		out = append(binary.AppendUvarint(append(out, id), uint64(len(contents))), contents...)
	}
	list := func(types []wasmer.ValueType) []byte {
		b := binary.AppendUvarint(nil, uint64(len(types)))
		for _, t := range types {
			b = append(b, byte(t))
		}
		return b
	}
	var types, functions, globals, exports, code, elements []byte
	for _, t := range m.types {
		types = slices.Concat(types, []byte{0x60}, list(t.Params), list(t.Results))
	}
	for i, f := range m.functions {
		functions = append(functions, byte(f.typ))
		exports = append(exports, 2, 'f', byte('1'+i), 0, byte(i+1))
		body := []byte{byte(len(f.locals))}
		for _, t := range f.locals {
			body = append(body, 1, byte(t))
		}
		for _, in := range f.code {
			body = in.append(body)
		}
		code = append(binary.AppendUvarint(code, uint64(len(body))), body...)
	}
	for i, t := range m.globals {
		globals = append(globals, byte(t), 1, map[wasmer.ValueType]byte{ti32: 0x41, ti64: 0x42}[t], 0, 0x0b)
		exports = append(exports, 2, 'g', byte('0'+i), 3, byte(i))
	}
	for i, f := range m.table {
		if f >= 0 {
			elements = append(elements, 0, 0x41, byte(i), 0x0b, 1, byte(f))
		}
	}
	exports = append(exports, 1, 'm', 2, 0)
	section(1, len(m.types), types)
	section(2, 1, []byte("\x03env\x04look\x00\x00"))
	section(3, len(m.functions), functions)
	section(4, 1, []byte{0x70, 0, byte(len(m.table))})
	section(5, 1, []byte{1, byte(m.pages), byte(m.maxPages)})
	section(6, len(m.globals), globals)
	section(7, len(m.functions)+len(m.globals)+1, exports)
	section(9, len(elements)/6, elements)
	section(10, len(m.functions), code)
	return out
}

func (in *instruction) append(b []byte) []byte {
	if in.op > 0xff {
		b = append(b, byte(in.op>>16), byte(in.op))
	} else {
		b = append(b, byte(in.op))
	}
	switch in.op {
	case 0x02, 0x03, 0x04, 0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24:
		return binary.AppendUvarint(b, in.imm)
	case 0x0e:
		b = binary.AppendUvarint(b, uint64(len(in.targets)-1))
		for _, target := range in.targets {
			b = binary.AppendUvarint(b, target)
		}
	case 0x11:
		return append(binary.AppendUvarint(b, in.imm), 0)
	case 0x28, 0x29, 0x36, 0x37:
		return binary.AppendUvarint(append(b, 0), in.imm)
	case 0x3f, 0x40, 0xfc000b:
		return append(b, 0)
	case 0xfc000a:
		return append(b, 0, 0)
	case 0x41:
		return appendSigned(b, int64(int32(in.imm)))
	case 0x42:
		return appendSigned(b, int64(in.imm))
	case 0x44:
		return binary.LittleEndian.AppendUint64(b, in.imm)
	}
	return b
}

func appendSigned(b []byte, v int64) []byte {
	for {
		low := byte(v & 0x7f)
		if v >>= 7; v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
