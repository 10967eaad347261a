package wasmer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// bindgenResult is one that a guest gave, copied. Its memory is yet to be given back.
type bindgenResult struct {
	at, code uint32
	data     []byte
}

// callWasmEdge calls a function of wasmedge-bindgen. It takes a table of addresses and numbers of elements, and gives the address
// of 9 bytes: whether it failed, an address, and a number of results, or of bytes of the error's text. Each result has an address,
// a type and a number of bytes. Older guests have no result, and call the host (Imports.Bindgen).
//
// The guest frees its arguments, older ones their slices only; all else is freed here.
func (b *bindgenCall) callWasmEdge() (err error) {
	older := len(b.f.typ.Results) == 0
	table := make([]byte, 0, 8*len(b.values))
	var given []uint32
	free := func(all bool) { // after an error that says more
		for position, at := range given {
			if v := b.values[position]; all || older && !v.kind.slice {
				err = errors.Join(err, b.release(at, len(v.data), v.kind.size))
			}
		}
	}
	for _, v := range b.values {
		at, allocErr := b.alloc(v.data, v.kind.size)
		if allocErr != nil {
			free(true)
			return errors.Join(allocErr, err)
		}
		given = append(given, at)
		table = binary.LittleEndian.AppendUint32(table, at)
		table = binary.LittleEndian.AppendUint32(table, uint32(v.count))
	}
	at, allocErr := b.alloc(table, 4)
	if allocErr != nil {
		free(true)
		return errors.Join(allocErr, err)
	}
	values, err := b.f.Call(b.ctx, at, len(b.values))
	if err != nil {
		return err
	}
	if free(false); err != nil {
		return err
	}
	if err := b.release(at, len(table), 4); err != nil {
		return err
	}
	if older {
		return b.takeDelivered()
	}
	return b.takeReturned(uint32(values[0].ToI32()))
}

// takeReturned reads what the guest has returned, and gives the memory back.
func (b *bindgenCall) takeReturned(at uint32) error {
	head, err := b.take(at, 9)
	if err != nil {
		return err
	}
	address, count := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint32(head[5:])
	if head[0] != 0 {
		text, err := b.take(address, uint64(count))
		if err != nil {
			return err
		}
		return &BindgenError{Function: b.f.name, Message: string(text)}
	}
	list, err := b.readResults(address, count)
	if err != nil {
		return err
	}
	if err := b.release(address, 12*len(list), 4); err != nil {
		return err
	}
	for _, result := range list {
		if err := b.release(result.at, len(result.data), 1); err != nil {
			return err
		}
	}
	return b.storeAll(list)
}

// takeDelivered gives what the guest has called the host with. The results are the guest's that it has forgotten, if they are
// slices; numbers lie on its stack.
func (b *bindgenCall) takeDelivered() error {
	if !b.state.delivered {
		return fmt.Errorf("wasmer: call %q: the guest has returned nothing: it should have called wasmedge-bindgen.return_result, "+
			"which Imports.Bindgen defines", b.f.name)
	}
	for _, result := range b.state.list {
		if kind, ok := bindgenCode(result.code); ok && kind.slice {
			if err := b.release(result.at, len(result.data), kind.size); err != nil {
				return err
			}
		}
	}
	if b.state.err != nil {
		return b.state.err
	}
	return b.storeAll(b.state.list)
}

// take copies memory and gives it back.
func (b *bindgenCall) take(at uint32, size uint64) ([]byte, error) {
	if b.Memory == nil {
		return nil, fmt.Errorf("%w: the instance exports no memory", ErrNotFound)
	}
	data, err := b.Memory.Read(uint64(at), size)
	if err != nil {
		return nil, fmt.Errorf("wasmer: call %q: what the guest returned: %w", b.f.name, err)
	}
	return data, b.release(at, len(data), 1)
}

func (b *bindgenCall) readResults(at, count uint32) ([]bindgenResult, error) {
	if b.Memory == nil {
		return nil, fmt.Errorf("%w: the instance exports no memory", ErrNotFound)
	}
	list, err := readBindgenResults(b.Memory, at, count)
	if err != nil {
		return nil, fmt.Errorf("wasmer: call %q: what the guest returned: %w", b.f.name, err)
	}
	return list, nil
}

// maxBindgenResults is more than the elements of any tuple.
const maxBindgenResults = 1000

func readBindgenResults(memory *Memory, at, count uint32) ([]bindgenResult, error) {
	if count > maxBindgenResults {
		return nil, fmt.Errorf("%d results are too many", count)
	}
	rows, err := memory.Read(uint64(at), 12*uint64(count))
	if err != nil {
		return nil, err
	}
	list := make([]bindgenResult, count)
	room := memory.Size() // results that overlap would have the host copy the memory once for each
	for i := range list {
		row := rows[12*i:]
		size := uint64(binary.LittleEndian.Uint32(row[8:]))
		if size > room {
			return nil, fmt.Errorf("%w: the results are larger together than the memory", ErrResource)
		}
		room -= size
		list[i] = bindgenResult{at: binary.LittleEndian.Uint32(row), code: binary.LittleEndian.Uint32(row[4:])}
		if list[i].data, err = memory.Read(uint64(list[i].at), size); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func bindgenCode(code uint32) (bindgenKind, bool) {
	for _, kind := range bindgenKinds {
		if kind.code == code && code != 0 {
			return kind, true
		}
	}
	return bindgenKind{}, false
}

// storeAll puts the results where they are wanted.
func (b *bindgenCall) storeAll(list []bindgenResult) error {
	if len(list) != len(b.results) {
		return b.refused("the guest gave %d results, want %d", len(list), len(b.results))
	}
	for position, result := range list {
		kind, ok := bindgenCode(result.code)
		if !ok {
			return b.refused("result %d has the unknown type %d", position, result.code)
		}
		if want := b.results[position]; !kind.fits(want) {
			return b.refused("result %d is %v, and goes to %T", position, kind.typ, want)
		}
		if err := kind.store(b.results[position], result.data); err != nil {
			return b.refused("result %d: %v", position, err)
		}
	}
	return nil
}
