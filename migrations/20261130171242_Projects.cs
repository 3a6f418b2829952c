using System;
using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class Projects : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<Guid>(
                name: "project_id",
                table: "vms",
                type: "uuid",
                nullable: false,
                defaultValue: new Guid("00000000-0000-7000-8000-000000000001"));

            migrationBuilder.AddColumn<Guid>(
                name: "project_id",
                table: "operations",
                type: "uuid",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "place",
                table: "events",
                type: "bigint",
                nullable: false,
                defaultValue: 0L)
                .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityAlwaysColumn);

            migrationBuilder.AddColumn<Guid>(
                name: "project_id",
                table: "events",
                type: "uuid",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "audit",
                columns: table => new
                {
                    id = table.Column<Guid>(type: "uuid", nullable: false),
                    time = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    actor = table.Column<string>(type: "text", nullable: false),
                    actor_id = table.Column<Guid>(type: "uuid", nullable: true),
                    action = table.Column<string>(type: "text", nullable: false),
                    kind = table.Column<string>(type: "text", nullable: false),
                    thing_id = table.Column<string>(type: "text", nullable: false),
                    thing_name = table.Column<string>(type: "text", nullable: false),
                    project_id = table.Column<Guid>(type: "uuid", nullable: true),
                    before = table.Column<string>(type: "jsonb", nullable: true),
                    after = table.Column<string>(type: "jsonb", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "projects",
                columns: table => new
                {
                    id = table.Column<Guid>(type: "uuid", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    most_vms = table.Column<int>(type: "integer", nullable: true),
                    most_vcpus = table.Column<int>(type: "integer", nullable: true),
                    most_memory_mib = table.Column<int>(type: "integer", nullable: true),
                    most_vfs = table.Column<int>(type: "integer", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_projects", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "webhooks",
                columns: table => new
                {
                    id = table.Column<Guid>(type: "uuid", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    url = table.Column<string>(type: "text", nullable: false),
                    kinds = table.Column<string>(type: "jsonb", nullable: false),
                    secret = table.Column<string>(type: "text", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    created_by = table.Column<string>(type: "text", nullable: false),
                    through = table.Column<long>(type: "bigint", nullable: false),
                    delivered_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    attempts = table.Column<int>(type: "integer", nullable: false),
                    next_attempt_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    last_error = table.Column<string>(type: "text", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_webhooks", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "grants",
                columns: table => new
                {
                    id = table.Column<Guid>(type: "uuid", nullable: false),
                    subject_id = table.Column<Guid>(type: "uuid", nullable: false),
                    project_id = table.Column<Guid>(type: "uuid", nullable: true),
                    role = table.Column<string>(type: "text", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_grants", x => x.id);
                    table.ForeignKey(
                        name: "fk_grants_projects_project_id",
                        column: x => x.project_id,
                        principalTable: "projects",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateIndex(
                name: "ix_vms_project_id",
                table: "vms",
                column: "project_id");

            migrationBuilder.CreateIndex(
                name: "ix_events_place",
                table: "events",
                column: "place",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "ix_audit_kind_thing_id_id",
                table: "audit",
                columns: new[] { "kind", "thing_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_grants_project_id",
                table: "grants",
                column: "project_id");

            migrationBuilder.CreateIndex(
                name: "ix_grants_subject_id_project_id",
                table: "grants",
                columns: new[] { "subject_id", "project_id" },
                unique: true)
                .Annotation("Npgsql:NullsDistinct", false);

            migrationBuilder.CreateIndex(
                name: "ix_projects_name_unique",
                table: "projects",
                column: "name",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "ix_webhooks_name_unique",
                table: "webhooks",
                column: "name",
                unique: true);

            // What there was before there were projects is in the default one, and whoever could do everything still can.
            migrationBuilder.Sql("""
                INSERT INTO projects (id, name, created_at) VALUES ('00000000-0000-7000-8000-000000000001', 'default', now());
                INSERT INTO grants (id, subject_id, project_id, role) SELECT gen_random_uuid(), id, NULL::uuid, 'Admin' FROM people UNION ALL SELECT gen_random_uuid(), id, NULL::uuid, 'Admin' FROM api_tokens;
                UPDATE operations SET project_id = '00000000-0000-7000-8000-000000000001' WHERE vm_id IS NOT NULL;
                UPDATE events SET project_id = '00000000-0000-7000-8000-000000000001' WHERE vm_id IS NOT NULL;
                """);

            migrationBuilder.AddForeignKey(
                name: "fk_vms_projects_project_id",
                table: "vms",
                column: "project_id",
                principalTable: "projects",
                principalColumn: "id",
                onDelete: ReferentialAction.Restrict);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropForeignKey(
                name: "fk_vms_projects_project_id",
                table: "vms");

            migrationBuilder.DropTable(
                name: "audit");

            migrationBuilder.DropTable(
                name: "grants");

            migrationBuilder.DropTable(
                name: "webhooks");

            migrationBuilder.DropTable(
                name: "projects");

            migrationBuilder.DropIndex(
                name: "ix_vms_project_id",
                table: "vms");

            migrationBuilder.DropIndex(
                name: "ix_events_place",
                table: "events");

            migrationBuilder.DropColumn(
                name: "project_id",
                table: "vms");

            migrationBuilder.DropColumn(
                name: "project_id",
                table: "operations");

            migrationBuilder.DropColumn(
                name: "place",
                table: "events");

            migrationBuilder.DropColumn(
                name: "project_id",
                table: "events");
        }
    }
}
