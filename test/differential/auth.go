// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Whom certificates name, in the folder given with --certificates as NAME.crt and NAME.key beside ca.crt. "stranger" is never made a user.
var certificates = []string{"root", "u0", "u1", "u2", "stranger"}

var users = []string{"u0", "u1", "u2", "u3"}
var roles = []string{"r0", "r1", "r2"}

// identities are one server's connections by the name in the certificate.
type identities map[string]*server

func dialAs(name, address, folder string) (identities, error) {
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	found := identities{}
	for _, user := range certificates {
		pair, err := tls.LoadX509KeyPair(filepath.Join(folder, user+".crt"), filepath.Join(folder, user+".key"))
		if err != nil {
			return nil, err
		}
		found[user], err = dialWith(name, address, credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}))
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// sortedStably is how many permissions of a role keep the order of arrival where their keys are equal: etcd sorts by the key alone, and Go's
// sort.Sort leaves the order of equals to chance (its own, the same each time) as soon as there are more.
const sortedStably = 12

// token was given to one user by both servers.
type token struct{ expected, actual string }

type authentication struct {
	g                *generator
	expected, actual identities
	tokens           []token
	counts           map[string]int
	granted          map[string]int // permissions granted to a role since it was made: at least as many as it has
}

func (a *authentication) one(of []string) string { return of[a.g.random.Intn(len(of))] }

func (a *authentication) permission() *authpb.Permission {
	p := &authpb.Permission{PermType: authpb.Permission_Type(a.g.random.Intn(3))}
	p.Key, p.RangeEnd = a.span()
	return p
}

// span holds something: whether etcd lets a range through that ends before it begins depends on the shape of its tree.
func (a *authentication) span() ([]byte, []byte) {
	for {
		key, end := a.g.rangeOf()
		if len(key) > 0 && (len(end) == 0 || string(end) == "\x00" || string(key) < string(end)) {
			return key, end
		}
	}
}

func (a *authentication) administration() proto.Message {
	user, role := a.one(users), a.one(roles)
	if a.g.one(30) {
		user = ""
	}
	switch a.g.random.Intn(20) {
	case 0:
		return &pb.AuthUserAddRequest{Name: user, Password: a.one([]string{"p1", "p2"}), Options: &authpb.UserAddOptions{NoPassword: a.g.one(3)}}
	case 1:
		return &pb.AuthUserDeleteRequest{Name: a.one(append(users, "root"))}
	case 2:
		return &pb.AuthUserChangePasswordRequest{Name: user, Password: a.one([]string{"p1", "p2"})}
	case 3, 4, 5:
		return &pb.AuthUserGrantRoleRequest{User: user, Role: a.one(append(roles, "root"))}
	case 6:
		return &pb.AuthUserRevokeRoleRequest{Name: a.one(append(users, "root")), Role: a.one(append(roles, "root"))}
	case 7:
		return &pb.AuthUserGetRequest{Name: user}
	case 8:
		return &pb.AuthUserListRequest{}
	case 9, 10:
		return &pb.AuthRoleAddRequest{Name: role}
	case 11:
		return &pb.AuthRoleDeleteRequest{Role: a.one(append(roles, "root"))}
	case 12:
		return &pb.AuthRoleGetRequest{Role: a.one(append(roles, "root"))}
	case 13:
		return &pb.AuthRoleListRequest{}
	case 14:
		key, end := a.span()
		return &pb.AuthRoleRevokePermissionRequest{Role: role, Key: key, RangeEnd: end}
	case 15:
		return &pb.AuthStatusRequest{}
	}
	if a.granted[role] >= sortedStably {
		return &pb.AuthRoleDeleteRequest{Role: role}
	}
	return &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: a.permission()}
}

func (a *authentication) use() proto.Message {
	g := a.g
	switch g.random.Intn(16) {
	case 0, 1, 2, 3:
		r := &pb.RangeRequest{}
		r.Key, r.RangeEnd = a.span()
		return r
	case 4, 5:
		r := g.put()
		return r
	case 6, 7:
		r := &pb.DeleteRangeRequest{PrevKv: g.one(2)}
		r.Key, r.RangeEnd = a.span()
		return r
	case 8, 9, 10:
		compare := &pb.Compare{}
		compare.Key, compare.RangeEnd = a.span()
		read := &pb.RangeRequest{}
		read.Key, read.RangeEnd = a.span()
		return &pb.TxnRequest{
			Compare: []*pb.Compare{compare}, Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}},
			Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: read}}},
		}
	case 11:
		return &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: 3600}
	case 12:
		return &pb.LeaseRevokeRequest{ID: g.leaseID()}
	case 13:
		return &pb.LeaseTimeToLiveRequest{ID: g.leaseID(), Keys: g.one(2)}
	case 14:
		return &pb.LeaseLeasesRequest{}
	}
	create := &pb.WatchCreateRequest{}
	create.Key, create.RangeEnd = a.span()
	return create
}

// created is the first answer to a watch.
func created(ctx context.Context, s *server, request *pb.WatchCreateRequest) (proto.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stream, err := s.watch.Watch(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}}); err != nil {
		return nil, err
	}
	return stream.Recv()
}

func (s *server) administer(ctx context.Context, request proto.Message) (proto.Message, error) {
	switch r := request.(type) {
	case *pb.AuthUserAddRequest:
		return s.auth.UserAdd(ctx, r)
	case *pb.AuthUserDeleteRequest:
		return s.auth.UserDelete(ctx, r)
	case *pb.AuthUserChangePasswordRequest:
		return s.auth.UserChangePassword(ctx, r)
	case *pb.AuthUserGrantRoleRequest:
		return s.auth.UserGrantRole(ctx, r)
	case *pb.AuthUserRevokeRoleRequest:
		return s.auth.UserRevokeRole(ctx, r)
	case *pb.AuthUserGetRequest:
		return s.auth.UserGet(ctx, r)
	case *pb.AuthUserListRequest:
		return s.auth.UserList(ctx, r)
	case *pb.AuthRoleAddRequest:
		return s.auth.RoleAdd(ctx, r)
	case *pb.AuthRoleDeleteRequest:
		return s.auth.RoleDelete(ctx, r)
	case *pb.AuthRoleGetRequest:
		return s.auth.RoleGet(ctx, r)
	case *pb.AuthRoleListRequest:
		return s.auth.RoleList(ctx, r)
	case *pb.AuthRoleGrantPermissionRequest:
		return s.auth.RoleGrantPermission(ctx, r)
	case *pb.AuthRoleRevokePermissionRequest:
		return s.auth.RoleRevokePermission(ctx, r)
	case *pb.AuthStatusRequest:
		return s.auth.AuthStatus(ctx, r)
	case *pb.AuthEnableRequest:
		return s.auth.AuthEnable(ctx, r)
	case *pb.AuthDisableRequest:
		return s.auth.AuthDisable(ctx, r)
	case *pb.WatchCreateRequest:
		return created(ctx, s, r)
	}
	return s.call(ctx, request)
}

// ask sends the request as whom the certificate names, or as whom the token does when there is one.
func (a *authentication) ask(certificate string, with *token, request proto.Message) error {
	expectedCtx, actualCtx := context.Background(), context.Background()
	how := certificate
	if with != nil {
		expectedCtx = metadata.AppendToOutgoingContext(expectedCtx, "token", with.expected)
		actualCtx = metadata.AppendToOutgoingContext(actualCtx, "token", with.actual)
		how += " with a token"
	}
	wanted, wantedErr := a.expected[certificate].administer(expectedCtx, request)
	got, gotErr := a.actual[certificate].administer(actualCtx, request)
	for _, answer := range []proto.Message{wanted, got} {
		if answered, ok := answer.(interface{ GetHeader() *pb.ResponseHeader }); ok {
			normalizeHeader(answered.GetHeader())
		}
	}
	if wantedErr == nil {
		normalize(request, wanted)
	}
	if gotErr == nil {
		normalize(request, got)
	}
	outcome := "answered"
	if wantedErr != nil {
		outcome = describe(nil, wantedErr)
	} else {
		a.note(request)
	}
	a.counts[outcome]++
	if describe(wanted, wantedErr) != describe(got, gotErr) {
		return fmt.Errorf("answers differ\n  %s asked %T %s\n  expected %s\n  actual   %s", how, request, show(request, nil), show(wanted, wantedErr),
			show(got, gotErr))
	}
	return nil
}

// note follows how many permissions a role may have.
func (a *authentication) note(done proto.Message) {
	switch r := done.(type) {
	case *pb.AuthRoleGrantPermissionRequest:
		a.granted[r.Name]++
	case *pb.AuthRoleDeleteRequest:
		a.granted[r.Role] = 0
	}
}

// logIn asks both for a token with a password that may be right.
func (a *authentication) logIn() error {
	request := &pb.AuthenticateRequest{Name: a.one(append(users, "root", "nobody")), Password: a.one([]string{"p1", "p2"})}
	wanted, wantedErr := a.expected["stranger"].auth.Authenticate(context.Background(), request)
	got, gotErr := a.actual["stranger"].auth.Authenticate(context.Background(), request)
	if wantedErr == nil && gotErr == nil {
		a.tokens = append(a.tokens, token{wanted.Token, got.Token})
		if len(a.tokens) > 8 {
			a.tokens = a.tokens[1:]
		}
		return nil
	}
	if describe(nil, wantedErr) != describe(nil, gotErr) {
		return fmt.Errorf("%s logs in\n  expected %v\n  actual   %v", request.Name, wantedErr, gotErr)
	}
	return nil
}

func (a *authentication) turn() error {
	g := a.g
	switch n := g.random.Intn(100); {
	case n < 2:
		return a.logIn()
	case n < 40:
		who := "root"
		if g.one(8) {
			who = a.one(certificates)
		}
		return a.ask(who, nil, a.administration())
	case n < 70 || len(a.tokens) == 0:
		return a.ask(a.one(certificates), nil, a.use())
	}
	with := a.tokens[g.random.Intn(len(a.tokens))]
	if g.one(30) {
		with = token{"wrong.1", "wrong.1"}
	}
	return a.ask(a.one(certificates), &with, a.use())
}

func runAuthentication(o options) error {
	expected, err := dialAs("expected", o.expected, o.certificates)
	if err != nil {
		return err
	}
	actual, err := dialAs("actual", o.actual, o.certificates)
	if err != nil {
		return err
	}
	a := &authentication{g: newGenerator(rand.New(rand.NewSource(o.seed))), expected: expected, actual: actual, counts: map[string]int{},
		granted: map[string]int{}}
	for _, request := range []proto.Message{
		&pb.AuthEnableRequest{}, &pb.AuthUserAddRequest{Name: "root", Options: &authpb.UserAddOptions{NoPassword: true}}, &pb.AuthEnableRequest{},
		&pb.AuthRoleAddRequest{Name: "root"}, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}, &pb.AuthEnableRequest{},
	} {
		if err := a.ask("root", nil, request); err != nil {
			return err
		}
	}
	began, end := time.Now(), time.Now().Add(o.duration)
	n := 0
	for ; (o.operations == 0 || n < o.operations) && (o.duration == 0 || time.Now().Before(end)); n++ {
		if err := a.turn(); err != nil {
			return fmt.Errorf("operation %d: %w", n, err)
		}
	}
	fmt.Printf("%d operations of users compared in %.1f s: equal\n", n, time.Since(began).Seconds())
	fmt.Print((&pair{kinds: a.counts}).summary())
	return nil
}

func dialWith(name, address string, how credentials.TransportCredentials) (*server, error) {
	limit := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20))
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(how), limit)
	if err != nil {
		return nil, err
	}
	return &server{
		name: name, connection: connection, kv: pb.NewKVClient(connection), lease: pb.NewLeaseClient(connection),
		watch: pb.NewWatchClient(connection), maintenance: pb.NewMaintenanceClient(connection), auth: pb.NewAuthClient(connection),
	}, nil
}
