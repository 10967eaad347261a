package wasip1

import (
	"net"
	"sync"
)

// listener is a socket on which guests accept connections.
type listener struct {
	listener net.Listener
	mu       sync.Mutex
	pending  *pending[net.Conn]
}

// begin starts to accept, unless that goes on already.
func (l *listener) begin() *pending[net.Conn] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = begin(l.listener.Accept)
	}
	return l.pending
}

// take gives the connection to the first who asks.
func (l *listener) take(p *pending[net.Conn]) (conn net.Conn, mine bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != p {
		return nil, false, nil
	}
	l.pending = nil
	conn, err = p.result()
	return conn, true, err
}

func (c *Call) SockAccept(fd, flags, result uint32) Errno {
	d, errno := c.lookup(fd, 0)
	switch {
	case errno != Success:
		return errno
	case d.listener == nil:
		return notSocket(d)
	case d.rights&RightAccept == 0:
		return ENOTCAPABLE
	case flags&^uint32(FlagNonblock) != 0:
		return EINVAL
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	if c.table.full() {
		return EMFILE
	}
	for {
		pending := d.listener.begin()
		if d.flags&FlagNonblock != 0 && !pending.isDone() {
			return EAGAIN
		}
		if !c.wait(pending.done) {
			return stopped
		}
		conn, mine, err := d.listener.take(pending)
		if !mine {
			continue
		}
		if err != nil {
			return errnoOf(err)
		}
		accepted := &descriptor{
			stream: newStream(conn, conn), socket: true, rights: socketRights & d.inheriting, flags: Fdflags(flags),
		}
		number, errno := c.table.add(accepted)
		if errno != Success {
			_ = accepted.close()
			return errno
		}
		return c.put32(result, number)
	}
}

// notSocket is what a function for connected sockets says of anything else.
func notSocket(d *descriptor) Errno {
	if d.listener != nil {
		return ENOTCONN
	}
	if d.socket {
		return EINVAL
	}
	return ENOTSOCK
}

// socket finds a connected socket.
func (c *Call) socket(fd uint32, right Rights) (*descriptor, Errno) {
	d, errno := c.lookup(fd, 0)
	switch {
	case errno != Success:
		return nil, errno
	case !d.socket:
		return nil, notSocket(d)
	case d.rights&right != right:
		return nil, ENOTCAPABLE
	}
	return d, Success
}

// The flags of SockRecv.
const (
	recvPeek uint32 = 1 << iota
	recvWaitAll
)

func (c *Call) SockRecv(fd, iovs, count, flags, result, resultFlags uint32) Errno {
	d, errno := c.socket(fd, RightRead)
	if errno != Success {
		return errno
	}
	if flags&^(recvPeek|recvWaitAll) != 0 {
		return EINVAL
	}
	if errno := c.takeVectors(iovs, count); errno != Success {
		return errno
	}
	flagsTarget, errno := c.bytes(resultFlags, 2)
	if errno != Success {
		return errno
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	total, errno := c.receive(d, flags)
	if errno != Success {
		return errno
	}
	clear(flagsTarget)
	return c.put32(result, uint32(total))
}

func (c *Call) receive(d *descriptor, flags uint32) (total int, errno Errno) {
	for p := c.next(); p != nil; p = c.next() {
		for len(p) > 0 {
			n, errno := d.stream.read(c, p, flags&recvPeek != 0, d.flags&FlagNonblock != 0)
			if errno == stopped || errno != Success && total == 0 {
				return 0, errno
			}
			total += n
			if n == 0 || flags != recvWaitAll {
				return total, Success
			}
			p = p[n:]
		}
	}
	return total, Success
}

func (c *Call) SockSend(fd, iovs, count, flags, result uint32) Errno {
	d, errno := c.socket(fd, RightWrite)
	if errno != Success {
		return errno
	}
	if flags != 0 {
		return EINVAL
	}
	if errno := c.takeVectors(iovs, count); errno != Success {
		return errno
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	n, errno := d.stream.write(c, d.flags&FlagNonblock != 0)
	if errno != Success {
		return errno
	}
	return c.put32(result, uint32(n))
}

// The flags of SockShutdown.
const (
	shutRead uint32 = 1 << iota
	shutWrite
)

func (c *Call) SockShutdown(fd, how uint32) Errno {
	d, errno := c.socket(fd, RightShutdown)
	if errno != Success {
		return errno
	}
	if how == 0 || how&^(shutRead|shutWrite) != 0 {
		return EINVAL
	}
	if how&shutRead != 0 {
		half, ok := d.stream.reader.(interface{ CloseRead() error })
		if !ok {
			return ENOTSUP
		}
		if err := half.CloseRead(); err != nil {
			return errnoOf(err)
		}
	}
	if how&shutWrite != 0 {
		half, ok := d.stream.writer.(interface{ CloseWrite() error })
		if !ok {
			return ENOTSUP
		}
		if sending := d.stream.writable(); sending != nil {
			go func() {
				<-sending
				_ = half.CloseWrite()
			}()
			return Success
		}
		return errnoOf(half.CloseWrite())
	}
	return Success
}
