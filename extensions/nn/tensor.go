package nn

import (
	"encoding/binary"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
)

// A tensor in the memory: where its dimensions are and how many, its type, where its bytes are and how many.
const tensorSize = 20

func (g guest) readTensor(ptr uint32) (*inference.Tensor, error) {
	record, err := g.read(ptr, tensorSize)
	if err != nil {
		return nil, err
	}
	field := func(offset int) uint32 { return binary.LittleEndian.Uint32(record[offset:]) }
	rank, size := field(4), field(16)
	if rank > inference.MaxRank {
		return nil, fail(InvalidArgument, "a tensor of %d dimensions: %d are allowed", rank, inference.MaxRank)
	}
	if uint64(size) > g.library.Memory() {
		return nil, fail(TooLarge, "a tensor has %d bytes: %d are allowed", size, g.library.Memory())
	}
	dims, err := g.read(field(0), 4*rank)
	if err != nil {
		return nil, err
	}
	tensor := &inference.Tensor{Shape: make([]uint64, rank)}
	for i := range tensor.Shape {
		tensor.Shape[i] = uint64(binary.LittleEndian.Uint32(dims[4*i:]))
	}
	elements, ok := inference.Elements(tensor.Shape)
	if !ok {
		return nil, fail(TooLarge, "a tensor of shape %v", tensor.Shape)
	}
	if tensor.Type, err = typeOf(record[8], elements, uint64(size)); err != nil {
		return nil, err
	}
	if tensor.Data, err = g.read(field(12), size); err != nil {
		return nil, err
	}
	return tensor, nil
}

// typeOf is the type of so many elements in so many bytes. wasi-nn has numbered the types anew: what is 2 and 3 to older
// guests (u8, i32) is f64 and u8 to newer ones. They differ in size.
func typeOf(number uint8, elements, size uint64) (inference.Type, error) {
	candidates := []inference.Type{inference.Type(number)}
	switch number {
	case 0, 1, 4, 5:
	case 2:
		candidates = []inference.Type{inference.Float64, inference.Uint8}
	case 3:
		candidates = []inference.Type{inference.Uint8, inference.Int32}
	default:
		return 0, fail(InvalidArgument, "type %d of a tensor is not known", number)
	}
	for _, candidate := range candidates {
		if elements*candidate.Size() == size {
			return candidate, nil
		}
	}
	return 0, fail(InvalidArgument, "%d elements of type %d do not have %d bytes", elements, number, size)
}
