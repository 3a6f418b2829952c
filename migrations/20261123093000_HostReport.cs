using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class HostReport : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "report",
                table: "hosts",
                type: "jsonb",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "report",
                table: "hosts");
        }
    }
}
