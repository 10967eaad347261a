package wasip1

// stringList is the arguments or the environment: NUL-terminated strings one after the other.
type stringList struct {
	offsets []uint32
	data    []byte
}

func newStringList(list []string) stringList {
	var s stringList
	for _, item := range list {
		s.offsets = append(s.offsets, uint32(len(s.data)))
		s.data = append(append(s.data, item...), 0)
	}
	return s
}

func (c *Call) getStrings(s *stringList, pointers, data uint32) Errno {
	if _, errno := c.array(pointers, uint32(len(s.offsets)), 4); errno != Success {
		return errno
	}
	target, errno := c.bytes(data, uint32(len(s.data)))
	if errno != Success {
		return errno
	}
	copy(target, s.data)
	for i, offset := range s.offsets {
		if errno := c.put32(pointers+uint32(i)*4, data+offset); errno != Success {
			return errno
		}
	}
	return Success
}

func (c *Call) getStringSizes(s *stringList, count, size uint32) Errno {
	if errno := c.put32(count, uint32(len(s.offsets))); errno != Success {
		return errno
	}
	return c.put32(size, uint32(len(s.data)))
}

func (c *Call) ArgsGet(argv, data uint32) Errno { return c.getStrings(&c.system.args, argv, data) }

func (c *Call) ArgsSizesGet(count, size uint32) Errno {
	return c.getStringSizes(&c.system.args, count, size)
}

func (c *Call) EnvironGet(environ, data uint32) Errno {
	return c.getStrings(&c.system.env, environ, data)
}

func (c *Call) EnvironSizesGet(count, size uint32) Errno {
	return c.getStringSizes(&c.system.env, count, size)
}
