package gojs

// fsRead is fs.read(fd, buffer, offset, length, position, callback).
func fsRead(g *guest, _ value, args []value) (value, error) {
	t, err := g.newTransfer("read", args)
	if t == nil || err != nil {
		return nil, err
	}
	switch {
	case t.d.dir != nil:
		return nil, t.answer(0, errnoError("EISDIR"))
	case !t.d.readable:
		return nil, t.answer(0, errnoError("EBADF"))
	case t.d.input != nil:
		g.streaming[t] = true
		return nil, g.beginRead(t.d.input, t.data, t.answer)
	}
	return nil, t.answer(t.d.readAt(t.data, t.position))
}

// fsWrite is fs.write(fd, buffer, offset, length, position, callback).
func fsWrite(g *guest, _ value, args []value) (value, error) {
	t, err := g.newTransfer("write", args)
	if t == nil || err != nil {
		return nil, err
	}
	switch {
	case !t.d.writable:
		return nil, t.answer(0, errnoError("EBADF"))
	case t.d.output != nil:
		g.streaming[t] = true
		return nil, g.beginWrite(t.d.output, t.data, t.answer)
	}
	return nil, t.answer(t.d.writeAt(t.data, t.position))
}

// transfer is a call of fs.read or fs.write.
type transfer struct {
	g        *guest
	name     string
	d        *descriptor
	array    *object
	data     []byte
	position int64
	callback value
}

// newTransfer checks the arguments. It is nil if the callback was told what is wrong.
func (g *guest) newTransfer(name string, args []value) (*transfer, error) {
	g.calls++
	a, callback, err := g.fsArguments(name, args)
	if err != nil {
		return nil, err
	}
	d, err := a.file(0)
	if err != nil {
		return nil, g.answer(callback, name, nil, err)
	}
	t := &transfer{g: g, name: name, d: d, position: -1, callback: callback}
	if err := t.part(a, 1); err != nil {
		return nil, err
	}
	if position := argument(a.list, 4); position != nil && position != (null{}) {
		if t.position, err = a.integer(4); err != nil {
			return nil, err
		}
		if t.position < 0 {
			return nil, g.answer(callback, name, nil, errnoError("EINVAL"))
		}
	}
	return t, nil
}

// part finds the bytes that an array, an offset and a length mean.
func (t *transfer) part(a *arguments, i int) error {
	b, ok := slotOf[*byteArray](argument(a.list, i))
	if !ok {
		return a.wrong(i, "a Uint8Array")
	}
	t.array = a.list[i].(*object)
	offset, err := a.integer(i + 1)
	if err != nil {
		return err
	}
	length, err := a.integer(i + 2)
	if err != nil {
		return err
	}
	size := int64(len(b.data))
	if offset < 0 || offset > size || length < 0 || length > size-offset {
		return a.g.newError("RangeError", a.name+": the offset and length lie outside of the array")
	}
	b.spent = 0
	t.data = b.data[offset : offset+length]
	return nil
}

// answer tells the callback how many bytes were transferred. When it has returned, Go has had its use of the array.
func (t *transfer) answer(n int, err error) error {
	delete(t.g.streaming, t)
	if n > 0 {
		err = nil
	}
	if err := t.g.answer(t.callback, t.name, float64(n), err); err != nil {
		return err
	}
	t.g.events[len(t.g.events)-1].spent = t.array.slot.(*byteArray)
	return nil
}
