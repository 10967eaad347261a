package wasip1

// descriptor is what a file descriptor stands for: one of file, dir, stream and listener.
type descriptor struct {
	file     File
	dir      Dir
	stream   *stream
	listener *listener
	// socket says that the stream is one.
	socket bool
	// shared says that what it stands for is not closed with it.
	shared bool

	rights, inheriting Rights
	flags              Fdflags
	offset             int64

	preopen   string
	isPreopen bool
	cursor    *cursor
}

func newStdio(s *stream, without Rights) *descriptor {
	return &descriptor{stream: s, shared: true, rights: streamRights &^ without}
}

func (d *descriptor) close() error {
	d.cursor.close()
	switch {
	case d.shared:
		return nil
	case d.file != nil:
		return d.file.Close()
	case d.dir != nil:
		return d.dir.Close()
	case d.stream != nil:
		return d.stream.close()
	}
	return nil
}

// table maps numbers to descriptors, the lowest free number first.
type table struct {
	list []*descriptor
	// free is not above the lowest free number.
	free int
}

// maxDescriptors keeps a guest from using up those of the host.
const maxDescriptors = 4096

func (t *table) add(d *descriptor) (uint32, Errno) {
	if t.full() {
		return 0, EMFILE
	}
	if t.free == len(t.list) {
		t.list = append(t.list, nil)
	}
	t.list[t.free] = d
	return uint32(t.free), Success
}

// full tells that add fails. If it does not, free is the lowest free number.
func (t *table) full() bool {
	for t.free < len(t.list) && t.list[t.free] != nil {
		t.free++
	}
	return t.free == maxDescriptors
}

func (t *table) get(fd uint32) *descriptor {
	if uint64(fd) < uint64(len(t.list)) {
		return t.list[fd]
	}
	return nil
}

func (t *table) remove(fd uint32) {
	t.list[fd] = nil
	t.free = min(t.free, int(fd))
}

// lookup finds a descriptor that has the rights.
func (p *Process) lookup(fd uint32, rights Rights) (*descriptor, Errno) {
	d := p.table.get(fd)
	if d == nil {
		return nil, EBADF
	}
	if d.rights&rights != rights {
		return nil, ENOTCAPABLE
	}
	return d, Success
}

// directory finds a directory that has the rights.
func (p *Process) directory(fd uint32, rights Rights) (*descriptor, Errno) {
	d := p.table.get(fd)
	switch {
	case d == nil:
		return nil, EBADF
	case d.dir == nil:
		return nil, ENOTDIR
	case d.rights&rights != rights:
		return nil, ENOTCAPABLE
	}
	return d, Success
}
